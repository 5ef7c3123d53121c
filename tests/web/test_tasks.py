"""Tasks: their cards, a stored task made in the page, its observations, fits and versions."""

import json
from contextlib import contextmanager

import httpx2
import pytest

from model.artifact import digest, pack_artifact
from store import Store
from tests.service import graphs
from tests.service.live import running
from tests.web.conftest import HOSTILE, chain, choose_file, opened, predicted

FIGURES = {"tau": 0.91, "r2": 0.8, "mse": 0.01, "mae": 0.05}
RESULT = {"networks": 24, "observations": 24, "artifact": FIGURES, "context": FIGURES | {"tau": 0.62}, "seconds": 1.5}
FORM = "form.create"


@contextmanager
def stored(shipped, name, rows, **fields):
    """Store a task for a test and delete it afterwards."""
    url = f"{shipped.url}/tasks/{name}"
    assert httpx2.put(url, json={"input": [3, 16, 16], **fields}).status_code == 201
    try:
        if rows:
            assert httpx2.post(f"{url}/observations", json={"observations": rows}).status_code == 200
        yield url
    finally:
        httpx2.delete(url)


def show_tasks(page, name=None):
    """Go to the view of tasks; return the card of a task."""
    page.get_by_role("button", name="Tasks").click()
    page.locator("article.card").first.wait_for()
    return page.locator("article.card", has=page.get_by_role("heading", name=name, exact=True)) if name else None


def fill_form(page, name, observations="", **fields):
    if not page.locator(FORM).is_visible():
        page.get_by_text("New stored task").click()
    page.locator(FORM).get_by_label("Name").fill(name)
    for label, value in fields.items():
        page.locator(FORM).get_by_label(label).fill(value)
    if observations:
        page.locator(FORM).get_by_label("pasted").fill(observations)


def drop(page, place, path):
    """Drop a text file."""
    make = "([text, name]) => { const held = new DataTransfer(); held.items.add(new File([text], name)); return held; }"
    held = page.evaluate_handle(make, [path.read_text("utf-8"), path.name])
    place.dispatch_event("drop", {"dataTransfer": held})


def submit(page):
    page.get_by_role("button", name="Create the task").click()


def test_tasks_are_cards_in_words(open_page, shipped):
    """Shipped ones with recipe, quality and limits; a stored one, whatever its description, with its observations."""
    rows = [chain(8 + width, 2, accuracy=0.4 + width / 100, id=HOSTILE) for width in (3, 1, 5, 2)]
    with stored(shipped, "web-test", rows, description=HOSTILE), open_page() as page:
        card = show_tasks(page, "cifar10-mini")
        card.get_by_text("Kendall's tau").wait_for()
        card.get_by_text("optimiser SGD").wait_for()
        card = show_tasks(page, "web-test")
        card.get_by_text("4 networks, 4 observations").wait_for()
        card.locator("circle.seen").last.wait_for()
        assert card.locator("circle.seen").count() == 4
        assert card.inner_text().count(HOSTILE) == 2, "as its description, and as the name of its best network"
        card.get_by_text("Predicted by: its observations (context), as no fit is published").wait_for()
        card.get_by_text("Predict for it").click()
        predicted(page)
        page.get_by_text("From 4 measured networks").wait_for()


def test_a_predictor_shows_predicted_against_measured_accuracies(open_page, shipped):
    """Of networks that each was not fitted to, on equal axes; the arrow keys read them."""
    points = httpx2.get(f"{shipped.url}/tasks/cifar10-mini").json()["quality"]["out_of_fold"]
    with open_page(width=360, color_scheme="dark") as page:
        card = show_tasks(page, "cifar10-mini")
        card.get_by_text("300 of 751 networks, each predicted without it").wait_for()
        assert card.locator(".dots").get_attribute("d").count("M") == len(points["measured"]) == 300
        x1, y1, x2, y2 = (float(card.locator(".diagonal").get_attribute(name)) for name in ("x1", "y1", "x2", "y2"))
        assert x2 - x1 == pytest.approx(y1 - y2), "the diagonal is one: the axes are equal"
        picture = card.get_by_label("Predicted against measured accuracy")
        picture.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        measured, predicted_ = points["measured"][1], points["predicted"][1]
        card.get_by_text(f"measured {measured:.3f}, predicted {predicted_:.3f}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_stored_task_shows_its_observations_over_time_and_how_well_it_ranks_itself(open_page, shipped):
    finals = [0.4, 0.6, 0.5, 0.7]
    rows = [chain(8 + index, 2, accuracy=[0.1, final], id=f"n{index}") for index, final in enumerate(finals)]
    with stored(shipped, "web-time", rows) as url, open_page() as page:
        card = show_tasks(page, "web-time")
        tau = httpx2.get(url).json()["tau"]
        card.get_by_text(f"Kendall's tau {tau:.3f}, each network predicted from the others").wait_for()
        card.get_by_text("n3, 0.700").wait_for()
        card.get_by_label("accuracy by observation").focus()
        page.keyboard.press("ArrowLeft")
        readout = card.locator(".readout")
        readout.get_by_text("observation 3, 20").wait_for()
        assert readout.inner_text().endswith("n2: best so far 0.600 · this one 0.500")


def test_a_stored_task_is_made_in_the_page_with_the_keyboard(open_page, shipped):
    """Name, input, prior and pasted JSON Lines; then its card is in focus, and it predicts."""
    lines = "\n".join(json.dumps(chain(8 + width, 2, accuracy=0.4 + width / 100)) for width in range(5))
    try:
        with open_page() as page:
            show_tasks(page)
            page.locator("summary", has_text="New stored task").focus()
            page.keyboard.press("Enter")
            for text in ("leaves", "1, 20, 20"):
                page.keyboard.press("Tab")
                page.keyboard.press("Control+A")
                page.keyboard.type(text)
            page.keyboard.press("Tab")
            page.keyboard.press("End")
            page.keyboard.press("Tab")
            page.keyboard.type(HOSTILE)
            page.keyboard.press("Tab")
            page.keyboard.insert_text(lines)
            page.keyboard.press("Tab")
            page.get_by_text("5 observations in the text, not added yet.").wait_for()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            card = page.locator("article.card", has=page.get_by_role("heading", name="leaves", exact=True))
            card.get_by_text("5 networks, 5 observations").wait_for()
            assert page.evaluate("document.activeElement.textContent") == "leaves"
            task = httpx2.get(f"{shipped.url}/tasks/leaves").json()
            assert (task["input"], task["prior"], task["description"]) == ([1, 20, 20], "metaqnn-svhn", HOSTILE)
            assert page.locator("main img").count() == page.locator("main script").count() == 0
            card.get_by_text("Predict for it").click()
            page.get_by_text("From 5 measured networks").wait_for()
    finally:
        httpx2.delete(f"{shipped.url}/tasks/leaves")


def test_what_is_wrong_with_a_new_task_is_said_at_its_field(open_page, shipped):
    """Each is corrected in place, and what was typed is kept."""
    faulty = json.dumps([chain(8, 1, accuracy=0.5), {"layers": [{"type": "relu"}, {"type": "conv"}], "accuracy": 0.5}])

    def fault(label):
        field = page.locator(FORM).get_by_label(label)
        return page.locator(f"#{field.get_attribute('aria-describedby')}")

    try:
        with open_page() as page:
            show_tasks(page)
            fill_form(page, "not/a name")
            submit(page)
            fault("Name").get_by_text("A name has 1 to 64 letters").wait_for()
            fill_form(page, "cifar10-mini")
            submit(page)
            fault("Name").get_by_text("There is a task of this name.").wait_for()
            with stored(shipped, "web-new", [], description="of another client") as url:
                fill_form(page, "web-new", Description="mine")
                fault("Name").evaluate("one => { one.textContent = ''; }")
                submit(page)
                fault("Name").get_by_text("There is a task of this name.").wait_for()
                assert httpx2.get(url).json()["description"] == "of another client"
            fill_form(page, "auto")
            submit(page)
            fault("Name").get_by_text("not `auto`").wait_for()
            fill_form(page, "faults", **{"Channels, height": "3, 0, x"})
            submit(page)
            fault("Channels, height").wait_for()
            assert "Number" in fault("Channels, height").inner_text()
            assert fault("Name").is_hidden()
            fill_form(page, "faults", "{nonsense", **{"Channels, height": "3, 16, 16"})
            submit(page)
            page.locator(FORM).get_by_text("not JSON").wait_for()
            assert httpx2.get(f"{shipped.url}/tasks/faults").status_code == 404, "nothing is created by half"
            fill_form(page, "faults", faulty)
            submit(page)
            page.locator(FORM).get_by_text("The task is created. No observation is stored.").wait_for()
            page.locator(FORM).get_by_text("Observation 2, layer 2").first.wait_for()
            page.locator(FORM).get_by_label("pasted").fill(json.dumps([chain(8, 1, accuracy=0.5)]))
            submit(page)
            card = page.locator("article.card", has=page.get_by_role("heading", name="faults", exact=True))
            card.get_by_text("1 networks, 1 observations").wait_for()
    finally:
        httpx2.delete(f"{shipped.url}/tasks/faults")


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson", "application/json"])
def test_what_the_service_returns_is_added_to_another_task(open_page, shipped, tmp_path, kind):
    """As CSV, JSON Lines and JSON, by a file that is dropped and then chosen: the same observations."""
    rows = [chain(8 + n, 1, accuracy=[0.1, 0.2 + n / 10], seed=n, proxies={"a": 1.5}, id=f'"{n}", x') for n in range(3)]

    def content(url):
        found = httpx2.get(f"{url}/observations").json()["observations"]
        return [{name: value for name, value in one.items() if name != "added_at"} for one in found]

    with stored(shipped, "web-from", rows) as source, stored(shipped, "web-to", []) as target, open_page() as page:
        (tmp_path / "rows.csv").write_bytes(httpx2.get(f"{source}/observations", headers={"Accept": kind}).content)
        card = show_tasks(page, "web-to")
        card.get_by_text("Add observations").click()
        drop(page, card.locator(".observations"), tmp_path / "rows.csv")
        card.get_by_text("3 observations in rows.csv, not added yet.").wait_for()
        card.get_by_role("button", name="Add", exact=True).click()
        card.get_by_text("3 added, 0 stored before; 3 networks now.").wait_for()
        card.get_by_text("3 networks, 3 observations").wait_for()
        assert content(target) == content(source)
        choose_file(card, "or a file", str(tmp_path / "rows.csv"))
        card.get_by_role("button", name="Add", exact=True).click()
        card.get_by_text("0 added, 3 stored before; 3 networks now.").wait_for()


def test_many_observations_are_sent_in_parts_and_a_fault_says_what_is_stored(open_page, shipped, as_file):
    rows = [chain(8, 1, accuracy=0.5, seed=seed) for seed in range(600)]
    rows[550] = {"layers": chain(8, 1)["layers"], "accuracy": 1.5}
    with stored(shipped, "web-parts", []) as url, open_page() as page:
        card = show_tasks(page, "web-parts")
        card.get_by_text("Add observations").click()
        choose_file(card, "or a file", as_file(rows))
        card.get_by_role("button", name="Add", exact=True).click()
        card.get_by_text("500 observations are stored; the rest is not.").wait_for()
        card.get_by_text("Observation 551, accuracy").first.wait_for()
        assert httpx2.get(url).json()["observations"] == 500
        card = show_tasks(page, "web-parts")
        card.get_by_text("1 networks, 500 observations").wait_for()
        card.locator(".dots").wait_for(state="attached")  # a line without height
        assert card.locator(".dots").get_attribute("d").count("M") == 500


def test_csv_that_cannot_be_read_is_said(open_page, shipped):
    with stored(shipped, "web-csv", []), open_page() as page:
        card = show_tasks(page, "web-csv")
        card.get_by_text("Add observations").click()
        for text, said in (
            ("layers,accuracy\n[{1},0.5", "Row 2, column layers: the value is not JSON."),
            ('layers,accuracy\n"[,0.5', "Row 2 is not CSV: check its quotes."),
            ('layers,accuracy\n[{"type": "relu"}],0.5', "Row 2 is not CSV: check its quotes."),
            ("accuracy\n0.5", "This is not JSON"),
            (
                '[{"layers": [], "accuracy": 0.5, "seed": 9007199254740993}]',
                "Observation 1: the page cannot hold a seed",
            ),
        ):
            card.get_by_label("pasted").fill(text)
            card.get_by_label("pasted").blur()
            card.get_by_text(said).wait_for()


def test_a_fit_is_started_followed_and_its_version_chosen(browser, tiny, tmp_path):
    """Queued, running with its progress, published: without a reload, on a narrow dark screen."""
    state = tmp_path / "state"
    with running(tiny, PEEPHOLE_STATE=str(state)) as live:
        url = f"{live.url}/tasks/leaves"
        httpx2.put(url, json={"input": [3, 32, 32]})
        rows = [chain(4 + n, 1, accuracy=0.3 + n / 100) for n in range(24)]
        httpx2.post(f"{url}/observations", json={"observations": rows[:19]})
        with opened(browser, live.url, width=360, height=740, color_scheme="dark") as page:
            card = show_tasks(page, "leaves")
            card.get_by_role("button", name="Start a fit").click()
            card.get_by_text("The task has 19 networks; a fit needs 20.").wait_for()
            httpx2.post(f"{url}/observations", json={"observations": rows})
            card.get_by_role("button", name="Start a fit").press("Enter")
            card.get_by_text("waits for a worker").wait_for()
            store = Store("", state, max_tasks=0, max_observations=0)
            try:
                claim = store.fits.claim()
                store.fits.report(claim, progress=0.4, line=f"fold 2 of 5 {HOSTILE}")
                card.get_by_text(f"runs, 40 %: fold 2 of 5 {HOSTILE}").wait_for()
                assert card.get_by_label("Progress of the fit").evaluate("bar => bar.value") == pytest.approx(0.4)
                card.locator(".fits summary").click()
                packed = pack_artifact(graphs.artifact(tmp_path / "one"))
                result = RESULT | {"published": True, "version": "one"}
                store.fits.publish(claim, "one", packed, digest(packed), result)
            finally:
                store.close()
            card.get_by_text("of 24 networks is published as one: tau 0.910, of the context 0.620.").wait_for()
            assert card.locator(".fits pre").is_visible(), "the log that was opened stays open"
            card.get_by_text("Predicted by: one, as it won the last fit").wait_for()
            card.get_by_label("Version").select_option("context")
            card.get_by_role("button", name="Use this version").click()
            card.get_by_text("Predicted by: its observations (context), as chosen").wait_for()
            assert httpx2.get(f"{url}/versions").json()["pinned"] == "context"
            card.get_by_label("Version").select_option("")
            card.get_by_role("button", name="Use this version").click()
            card.get_by_text("Predicted by: one, as it won the last fit").wait_for()
            assert httpx2.get(f"{url}/versions").json()["pinned"] is None
            page.get_by_text("New stored task").click()
            card.get_by_text("Add observations").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_fit_that_failed_says_why(browser, tiny, tmp_path):
    state = tmp_path / "state"
    with running(tiny, PEEPHOLE_STATE=str(state)) as live:
        url = f"{live.url}/tasks/leaves"
        httpx2.put(url, json={"input": [3, 32, 32]})
        rows = [chain(4 + n, 1, accuracy=0.3 + n / 100) for n in range(20)]
        httpx2.post(f"{url}/observations", json={"observations": rows})
        httpx2.post(f"{url}/fits", json={})
        store = Store("", state, max_tasks=0, max_observations=0)
        store.fits.fail(store.fits.claim(), HOSTILE)
        store.close()
        with opened(browser, live.url) as page:
            card = show_tasks(page, "leaves")
            card.get_by_text("Fit 1 failed: " + HOSTILE).wait_for()
            assert card.locator("progress").is_hidden()
