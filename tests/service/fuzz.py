"""`python -m tests.service.fuzz`: schemathesis, every check, against a real process; the exit code is its result."""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.service.live import Live, running

CONFIG = Path(__file__).with_name("schemathesis.toml")


def schemathesis(live: Live, examples: int, phases: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the phases of schemathesis against a service, `examples` cases an operation and phase."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
    options = ["--checks", "all", "--max-examples", str(examples), "--phases", phases, "--no-color", *more]
    with TemporaryDirectory() as folder:  # it imports from the folder that it runs in
        return subprocess.run(
            [*command, live.url + "/openapi.json", *options], capture_output=True, text=True, check=False, cwd=folder
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=800, help="cases an operation (default: 800, over 10,000 in all)"
    )
    parser.add_argument("--models", type=Path, help="artifact folder; the shipped predictors by default")
    arguments = parser.parse_args()
    shipped = "true" if arguments.models is None else "false"
    with running(arguments.models, PEEPHOLE_SHIPPED=shipped, PEEPHOLE_LOG_LEVEL="error") as live:
        done = schemathesis(live, arguments.examples, "examples,coverage,fuzzing,stateful")
    print(done.stdout, done.stderr, live.printed)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
