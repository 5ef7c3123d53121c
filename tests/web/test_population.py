"""Many networks, measurements of one's own."""

import csv
import io
import json
from pathlib import Path

from tests.web.conftest import HOSTILE, chain, choose_file, paste, predicted


def test_four_thousand_networks(open_page, as_file, picture):
    """A scatter with its front, a table that is sorted, the rest on demand, all of it as CSV."""
    rows = [chain(4 + index % 60, 1 + index // 60 % 4, id=f"n{index}") for index in range(3997)]
    rows += [chain(8, 2, id=HOSTILE), chain(8, 3, id="=1+2"), {"id": "faulty", "layers": [{"type": "conv"}]}]
    with open_page() as page:
        page.get_by_role("button", name="Population").click()
        choose_file(page, "File of networks", as_file(rows))
        page.get_by_text("3999 networks predicted.").wait_for(timeout=120_000)
        page.get_by_text("1 networks with mistakes are left out").wait_for()
        dots = page.locator("#population .dots.c0").get_attribute("d")
        assert dots.count("M") == 3999
        assert page.locator("#population tbody tr").count() == 100
        finals = [float(text) for text in page.locator("#population tbody td:nth-child(2)").all_inner_texts()]
        assert finals == sorted(finals, reverse=True)
        page.get_by_role("button", name="parameters", exact=True).click()
        page.get_by_role("button", name="parameters ↓").click()
        assert page.locator("th[aria-sort=ascending]").inner_text() == "parameters ↑"
        assert page.locator("#population tbody td:nth-child(8)").first.inner_text() == "yes", (
            "the smallest is on the front"
        )
        page.get_by_text("Show 100 more").click()
        assert page.locator("#population tbody tr").count() == 200
        with page.expect_download() as download:
            page.get_by_text("Export CSV").click()
        table = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
        assert len(table) == 3999
        names = {row["name"] for row in table}
        assert {HOSTILE, "'=1+2"} <= names
        costs = [float(row["params"]) for row in table]
        assert costs == sorted(costs)
        best = 0.0
        for row in sorted(table, key=lambda row: (float(row["params"]), -float(row["final"]))):
            assert (row["front"] == "true") == (float(row["final"]) > best)
            best = max(best, float(row["final"]))
        page.get_by_role("button", name="Compare n").first.click()
        predicted(page, 2)


def test_sampled_networks_fill_an_empty_view(open_page, picture):
    with open_page() as page:
        page.get_by_role("button", name="Population").click()
        page.get_by_text("Sample 300").click()
        page.get_by_text("300 networks predicted.").wait_for()
        assert page.locator("#population .dots.c0").get_attribute("d").count("M") == 300
        picture(page, "playground-population")


def test_more_networks_than_are_compared_are_a_population(open_page):
    with open_page() as page:
        predicted(page)
        paste(page, [chain(8 + width, 1) for width in range(13)])
        page.get_by_text("13 networks predicted.").wait_for()
        page.get_by_role("button", name="Networks", exact=True).click()
        assert [row[0] for row in predicted(page)] == ["ResNet"]


def test_measurements_of_ones_own_answer_for_a_data_set(open_page, as_file):
    """A file of measured networks in place of a task; what is no measurement is said."""
    measured = [
        chain(4 * width, depth, accuracy=round(0.3 + 0.03 * width + 0.05 * depth, 3))
        for width in range(1, 6)
        for depth in (1, 2, 3)
    ]
    with open_page() as page:
        predicted(page)
        page.locator("#task").select_option(label="Measurements of my own")
        page.get_by_text("At least 3 measured networks are needed.").wait_for()
        choose_file(page, "File of measured networks", as_file([chain(8, 1)], "bare.jsonl"))
        page.get_by_text("Network 1 has no accuracy.").wait_for()
        page.get_by_label("or pasted").fill("[1, 2]")
        page.get_by_label("or pasted").blur()
        page.get_by_text("Network 1 has no list of layers.").wait_for()
        page.get_by_label("Channels, height, width of an image").fill("1, 20, 20")
        choose_file(page, "File of measured networks", as_file(measured))
        page.get_by_text("From 15 measured networks").wait_for(timeout=60_000)
        assert json.loads(page.locator("#curl").text_content().split("-d '")[1].rsplit("'", 1)[0])["input"] == [
            1,
            20,
            20,
        ]
        assert page.locator("[data-layer='0'] .shape").inner_text().startswith("32×20×20")
