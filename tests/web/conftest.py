"""The page in a real browser: Debian's Chromium through Playwright; skipped where one of them is missing."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import client, serve, tiny  # noqa: F401 - fixtures
from tests.service.live import ROOT, Live, running

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PICTURES = ROOT / "docs/pictures"
HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"></textarea><script>document.title='owned'</script>'; rm -rf $HOME"
)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a network of its own: tests see each request that it makes.

    Not for the whole session: while it is open, asyncio.run fails in the tests of other files.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shipped() -> Iterator[Live]:
    """A service with two of the shipped predictors; every test leaves it healthy."""
    models = ":".join(str(ROOT / "model/zoo" / name) for name in ("cifar10-mini", "metaqnn-svhn"))
    with running(Path(models)) as live:
        yield live


@contextmanager
def opened(browser: Any, url: str, *, width: int = 1440, height: int = 900, **options: Any) -> Iterator[Any]:
    """Open the page; afterwards check that nothing went wrong that people do not see.

    No error of a script, no violation of the content security policy, no request to another host.
    """
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(30_000)  # tests share their processors
    host = "/".join(url.split("/")[:3])
    page.on("request", lambda request: request.url.startswith((host, "blob:")) or wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: "Content Security Policy" in message.text and wrong.append(message.text))
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    assert wrong == []


@pytest.fixture
def open_page(browser: Any, shipped: Live) -> Open:
    """Open the page of the shipped service, with a fragment and other options."""
    return lambda fragment="", **options: opened(browser, f"{shipped.url}/{fragment}", **options)


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Take a picture of the page for the documents, when --pictures asks for them."""

    def take(page: Any, name: str) -> None:
        if request.config.getoption("--pictures"):
            page.screenshot(path=PICTURES / f"{name}.png")

    return take


@pytest.fixture
def as_file(tmp_path: Path) -> Callable[..., str]:
    """Write a list of objects as JSON Lines; return the path."""

    def write(rows: list[Any], name: str = "networks.jsonl") -> str:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        return str(tmp_path / name)

    return write


def predicted(page: Any, rows: int = 1) -> Any:
    """Wait until so many networks are in the table of results; return its cells, row by row."""
    page.wait_for_function("count => document.querySelectorAll('#results tbody tr').length === count", arg=rows)
    return [row.locator("td").all_inner_texts() for row in page.locator("#results tbody tr").all()]


def paste(page: Any, network: Any) -> None:
    """Write a network into the field for JSON and leave the field."""
    if not page.locator("#json").is_visible():
        page.get_by_text("The network as JSON").click()
    page.fill("#json", network if isinstance(network, str) else json.dumps(network))
    page.locator("#json").blur()


def chain(width: int, depth: int, **fields: Any) -> dict[str, Any]:
    """Return a network of equal blocks, with other fields beside its layers."""
    conv = {"type": "conv", "kernel_size": 3, "out_channels": width}
    return {"layers": [conv, {"type": "batch_norm"}, {"type": "relu"}] * depth, **fields}


def choose_file(place: Any, label: str, path: str) -> None:
    """Choose a file in the page, or in a part of it."""
    place.get_by_label(label).set_input_files(path)
