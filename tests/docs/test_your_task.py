"""docs/your-task.md as it stands: a real service, a real worker, measured digits, and every line of its Python."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

import peephole
from tests.docs.pages import ROOT, code_blocks, read
from tests.service.live import running
from training.observations.observation import Observation
from training.observations.read import write_parquet

MEASURED = ROOT / "tests/data/digits-mini.jsonl.gz"  # what step 2 measured
ADDRESS = "http://127.0.0.1:8000"


def test_the_page_leads_to_a_predictor_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step works, and what the fit says of itself is what is served."""
    lines = gzip.decompress(MEASURED.read_bytes()).splitlines()
    rows = [Observation.model_validate_json(line) for line in lines]
    write_parquet(tmp_path / "digits.parquet", rows)
    monkeypatch.chdir(tmp_path)
    state = {"PEEPHOLE_STATE": str(tmp_path / "state")}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")]), "OMP_NUM_THREADS": "1"}
    work = [sys.executable, "-c", "from cli import run; run()", "worker", "--poll-seconds", "0.2"]
    found: dict[str, object] = {}
    with running(None, PEEPHOLE_SHIPPED="true", **state) as live, (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(work, cwd=ROOT, env=os.environ | paths | state, stderr=log)
        try:
            for block in code_blocks(read("docs/your-task.md"), "python"):
                exec(block.replace(ADDRESS, live.url), found)
        finally:
            worker.terminate()
            assert worker.wait(30) == 0, (tmp_path / "log").read_text()
    fit, versions = found["fit"], found["versions"]
    assert isinstance(fit, peephole.Fit)
    assert isinstance(versions, peephole.Versions)
    result = fit.details["result"]
    assert (fit.state, result["networks"]) == ("done", 40)
    assert result["published"] == (result["artifact"]["tau"] > result["context"]["tau"])
    assert versions.served == (result["version"] if result["published"] else "context")
    assert str(result) in capsys.readouterr().out
