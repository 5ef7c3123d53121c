"""The servers that are compared: how each is started, with which settings, and how it is ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from benchmarks.load import connect, post
from benchmarks.machine import family

ROOT = Path(__file__).parents[1]
VENVS = Path(os.environ.get("PEEPHOLE_BENCH_VENVS", Path.home() / ".cache" / "peephole" / "bench"))
START_SECONDS = 180.0
STOP_SECONDS = 15.0
SETTLE_SECONDS = 0.25  # after a pause


@dataclass
class Server:
    """A server process group.

    Attributes:
        name: short, as in the readings.
        title: as in the tables.
        settings: what was set, in words; `{cores}` is filled in.
        packages: whose versions are reported.
        command: arguments after the interpreter; `{port}` is filled in.
        port: on 127.0.0.1.
        environment: added to this process's; `{port}`, `{model}` and `{cores}` are filled in.
    """

    name: str
    title: str
    settings: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def python(self) -> Path:
        """The interpreter of its virtual environment; the service runs in this one."""
        return Path(sys.executable) if self.name == "peephole" else VENVS / self.name / "bin" / "python"

    def versions(self) -> dict[str, str]:
        """Return the installed versions."""
        code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
        found = subprocess.run([self.python, "-c", code, *self.packages], capture_output=True, text=True, check=True)
        return dict(zip(self.packages, found.stdout.split(), strict=True))

    def start(self, model: Path, cores: int, logs: Path) -> None:
        """Start the process, whose predictor may use `cores`; `ready` waits for it."""
        variables = {
            "PYTHONPATH": str(ROOT),
            "PEEPHOLE_BENCH_MODEL": str(model),
            "PEEPHOLE_BENCH_PORT": str(self.port),
            "PEEPHOLE_BENCH_CORES": str(cores),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
        }
        own = {name: value.format(port=self.port, model=model, cores=cores) for name, value in self.environment.items()}
        with (logs / f"{self.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.python, *(part.format(port=self.port) for part in self.command)],
                env={**os.environ, **variables, **own},
                cwd=logs,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def ready(self, body: bytes) -> bytes:
        """Wait for the first 200 and return its body.

        Raises:
            RuntimeError: when the process ended or did not respond in time.
        """
        assert self._process is not None
        deadline = monotonic() + START_SECONDS
        while monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}; see its log")
            try:
                connection = await connect(self.port)
                response = await asyncio.wait_for(connection.send(post(body)), START_SECONDS)
                connection.close()
                if response.status == 200:
                    return response.body
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(0.2)
        raise RuntimeError(f"{self.name} did not respond within {START_SECONDS:.0f} s; see its log")

    def cpu_seconds(self) -> float:
        """Return the processor time that its processes have used so far."""
        assert self._process is not None
        return sum(family(self._process.pid).values())

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let the process run for a while; it is paused otherwise, since idle servers use the processor too."""
        self._signal_family(signal.SIGCONT)
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            yield
        finally:
            self.pause()

    def pause(self) -> None:
        """Pause the process and its children."""
        self._signal_family(signal.SIGSTOP)

    def _signal_family(self, number: int) -> None:
        assert self._process is not None
        for pid in family(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """End the process and its children."""
        if self._process is None:
            return
        self._signal_family(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


_RIVALS = ROOT / "benchmarks" / "rivals"
_BIND = ("--host", "127.0.0.1", "--port", "{port}")
_COMMON = ("onnxruntime", "numpy", "pydantic")
_UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log")
SERVERS = (
    Server(
        "peephole",
        "Peephole",
        "`python -m service`, PEEPHOLE_THREADS={cores}, PEEPHOLE_CACHE_ENTRIES=0; access log and metrics are on",
        ("fastapi", "uvicorn", *_COMMON),
        ("-m", "service"),
        8101,
        {
            "PORT": "{port}",
            "PEEPHOLE_THREADS": "{cores}",
            "PEEPHOLE_CACHE_ENTRIES": "0",
            "PEEPHOLE_SHIPPED": "false",
            "PEEPHOLE_MODELS": "{model}",
        },
    ),
    Server(
        "stock",
        "FastAPI endpoint",
        "pydantic models, a `def` endpoint on the thread pool, ONNX Runtime with {cores} threads, uvicorn with uvloop "
        "and httptools, no access log",
        ("fastapi", "uvicorn", *_COMMON),
        ("-m", "uvicorn", "--app-dir", str(_RIVALS), "stock:app", *_BIND, *_UVICORN),
        8102,
    ),
    Server(
        "litserve",
        "LitServe",
        "fast_queue=True (ZeroMQ), max_batch_size=32, batch_timeout=0.001, one API server, one worker, ONNX Runtime "
        "with {cores} threads",
        ("litserve", *_COMMON),
        (str(_RIVALS / "lit.py"),),
        8103,
    ),
    Server(
        "bentoml",
        "BentoML",
        "adaptive batching (max_batch_size=1024), workers={cores}, max_concurrency=32, no access log, metrics or "
        "monitoring",
        ("bentoml", *_COMMON),
        ("-m", "bentoml", "serve", "bento:Peephole", "--working-dir", str(_RIVALS), *_BIND),
        8104,
        {"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Server(
        "ray",
        "Ray Serve",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED=1, serve.batch(32, 0 s), num_replicas={cores}, 16 ongoing and 16 queued "
        "requests, no access log, no dashboard",
        ("ray", *_COMMON),
        (str(_RIVALS / "rayserve.py"),),
        8105,
        {
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_LOG_TO_STDERR": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            "RAY_raylet_start_wait_time_s": "150",  # of a busy machine
        },
    ),
)
