"""A command in this process: `peephole("predict", "-", stdin=...)` returns what the shell would see."""

import io
import sys
from dataclasses import dataclass

import pytest

from cli.main import main


@dataclass
class Ended:
    """How a command ended: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


@pytest.fixture
def peephole(monkeypatch, capsys):
    """Run a command; without a terminal, as in a pipe."""

    def run(*arguments, stdin=""):
        content = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "argv", ["peephole", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        capsys.readouterr()  # what others printed before
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(ended.value.code or 0, said.out, said.err)

    return run


@pytest.fixture
def rejected(peephole):
    """Run a command that fails, and return its one line without the program's name."""

    def run(*arguments, stdin=""):
        found = peephole(*arguments, stdin=stdin)
        assert found.status == 1, found
        assert found.err.count("\n") == 1, found.err
        assert found.out == ""
        return found.err.removeprefix("peephole: ").rstrip("\n")

    return run
