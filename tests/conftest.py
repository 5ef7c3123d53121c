"""Settings of all tests."""

import os
from pathlib import Path

BESIDE = Path(__file__).parents[2] / "shared" / "data"
if BESIDE.is_dir():
    os.environ.setdefault("PEEPHOLE_DATA", str(BESIDE))
