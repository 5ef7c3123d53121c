"""What the server process does for the service: here, its heap."""

import gc
import re
import weakref
from pathlib import Path

import httpx2

from service.server import settle_heap
from tests.service.live import running

FREEZE_COUNT = "import gc; print('frozen:', gc.get_freeze_count(), flush=True)"


class _Knot:
    """An object that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_reload_replaced_is_freed_though_the_heap_was_settled() -> None:
    knot = _Knot()
    seen = weakref.ref(knot)
    try:
        settle_heap()
        del knot
        gc.collect()
        assert seen() is not None, "frozen objects are out of the collector's sight"
        settle_heap()
        assert seen() is None
    finally:
        gc.unfreeze()


def test_a_ready_server_has_settled_its_heap(tiny: Path) -> None:
    """Everything that was imported and loaded is out of the collector's sight before the first answer."""
    with running(tiny, action=FREEZE_COUNT) as live:
        body = {"architectures": [{"layers": [{"type": "conv", "kernel_size": 3, "out_channels": 8}]}]}
        assert httpx2.post(live.url + "/predict", json=body).status_code == 200
        before, *_, after = map(int, re.findall(r"frozen: (\d+)", live.output()))
    assert before == 0, "the warm-up comes first"
    assert after > 10_000
