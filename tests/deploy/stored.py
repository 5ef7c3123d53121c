"""A stored task of a running service, with a published version: what the metrics of stored tasks are about."""

from pathlib import Path

from model.artifact import ZOO, digest, pack_artifact
from store import Store
from tests.deploy.compose import fetch

COUNT = 20  # networks: a fit needs as many


def networks(first: int, count: int) -> list[dict[str, object]]:
    """Return measured networks."""
    widths = range(first, first + count)
    conv = {"type": "conv", "kernel_size": 3}
    return [{"layers": [conv | {"out_channels": width}], "accuracy": width / (width + 20)} for width in widths]


def stored_task(url: str, state: Path) -> None:
    """Store a task with networks, publish what ships for another as its version, predict it, queue another fit.

    Args:
        url: of the service.
        state: the folder of its database.
    """
    fetch(f"{url}/tasks/leaves", {"input": [3, 32, 32]}, method="PUT")
    fetch(f"{url}/tasks/leaves/observations", {"observations": networks(1, COUNT)})
    asked = {"task": "leaves", "architectures": [{"layers": [{"type": "relu"}]}]}
    fetch(f"{url}/predict", asked)
    fetch(f"{url}/tasks/leaves/fits", {})
    store = Store("", state, max_tasks=1, max_observations=1)
    claim = store.fits.claim()
    assert claim is not None
    packed = pack_artifact(ZOO / "mnist-mini")
    store.fits.publish(claim, "1", packed, digest(packed), {})
    store.close()
    fetch(f"{url}/tasks/leaves/fits", {})
