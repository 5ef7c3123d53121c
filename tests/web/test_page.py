"""One network and a few: what people see of them, and what becomes of what they change."""

import json
import shlex
import subprocess
import sys

import httpx2
import pytest

from tests.web.conftest import HOSTILE, paste, predicted

CONV = {"type": "conv", "kernel_size": 3, "out_channels": 16}
CHAIN = [CONV, {"type": "batch_norm"}, {"type": "relu"}, {"type": "max_pool", "kernel_size": 2}, CONV, {"type": "relu"}]
FINAL, INTERVAL, RANK, PARAMS = 1, 2, 3, 4


def ask(shipped, layers, **fields):
    body = {"task": "cifar10-mini", "architectures": [{"layers": layers, **fields}]}
    return httpx2.post(shipped.url + "/predict", json=body).json()["predictions"][0]


def test_the_first_view_shows_a_prediction(open_page, shipped, picture):
    """A network, its curve with the band, its costs, what the distance means; the same as /predict says."""
    with open_page() as page:
        ((name, final, interval, *_),) = predicted(page)
        layers = json.loads(page.input_value("#json"))
        expected = ask(shipped, layers)
        assert (name, final) == ("ResNet", f"{expected['final_accuracy']:.3f}")
        assert interval == f"{expected['lower'][-1]:.3f} – {expected['upper'][-1]:.3f}"
        assert page.locator("#curves .band").count() == page.locator("#curves .curve").count() == 1
        assert page.locator("#graph [data-layer]").count() == len(layers)
        assert page.locator("[data-layer='0'] .shape").inner_text().startswith("32×16×16")
        assert page.locator("#notes li").all_inner_texts() == expected["notes"]
        page.get_by_label("Networks to compare").get_by_text("+ Copy").click()
        page.get_by_role("button", name="VGG").click()
        predicted(page, 2)
        page.get_by_label("Networks to compare").get_by_text("ResNet").click()
        page.locator("[data-layer='3']").click()
        page.locator("[data-layer='3'] .shape").get_by_text("9.22 k").wait_for()
        picture(page, "playground")


def test_every_example_is_predicted(open_page):
    with open_page() as page:
        predicted(page)
        for name in ("VGG", "ResNet", "MobileNet", "NAS-Bench-201 cell"):
            page.locator("#examples").get_by_text(name, exact=True).click()
            page.locator("#results tbody td").get_by_text(name).wait_for()
            assert page.locator("#fault").is_hidden()
        page.locator("#examples").get_by_text("Sampled").click()
        page.locator("#results tbody td").get_by_text("sampled-").wait_for()


def test_the_curve_follows_a_slider(open_page, shipped):
    """Width, then kernel: the prediction is that of the changed network."""
    with open_page() as page:
        paste(page, CHAIN)
        predicted(page)
        page.locator("[data-layer='0']").click()
        page.get_by_label("out_channels, slider").fill("48")
        page.get_by_label("kernel_size, slider").fill("5")
        wide = [{"type": "conv", "kernel_size": 5, "out_channels": 48}, *CHAIN[1:]]
        final = f"{ask(shipped, wide)['final_accuracy']:.3f}"
        page.locator("#results tbody td").get_by_text(final, exact=True).wait_for()
        assert json.loads(page.input_value("#json")) == wide
        assert page.locator("[data-layer='0'] .shape").inner_text().startswith("48×16×16")


def test_layers_are_repeated_inserted_and_removed(open_page):
    """A name goes on to what is put behind its layer, so that those who read it read the new one."""
    layers = [{**CONV, "name": "a"}, {"type": "relu"}, {**CONV, "name": "b"}, {"type": "add", "inputs": ["a", "b"]}]

    def now():
        return json.loads(page.input_value("#json"))

    with open_page() as page:
        paste(page, layers)
        predicted(page)
        page.locator("[data-layer='0']").click()
        page.get_by_label("Type of the layer to insert").select_option("batch_norm")
        page.get_by_role("button", name="Insert behind").click()
        assert now()[:2] == [CONV, {"type": "batch_norm", "name": "a"}]
        page.locator("[data-layer='0']").click()
        page.get_by_role("button", name="Repeat").click()
        assert now()[:4] == [CONV, {"type": "batch_norm"}, CONV, {"type": "batch_norm", "name": "a"}]
        page.locator("[data-layer='3']").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        assert now() == [CONV, {"type": "batch_norm"}, {**CONV, "name": "a"}, *layers[1:]]
        predicted(page)
        assert page.locator("#fault").is_hidden()


def test_a_mistake_is_shown_at_its_layer(open_page):
    """The sentence of the service, the layer marked, and other networks predicted all the same."""
    with open_page() as page:
        predicted(page)
        page.get_by_text("+ Copy").click()
        predicted(page, 2)
        paste(page, [*CHAIN, {"type": "add", "inputs": ["nobody", "input"]}])
        page.locator("#fault").get_by_text("Layer 7 (add)").wait_for()
        assert "no layer has this name" in page.locator("#fault").inner_text()
        assert page.locator(".faulty").get_attribute("data-layer") == "6"
        assert len(predicted(page, 1)) == 1
        paste(page, "{nonsense")
        page.locator("#fault").get_by_text("not JSON").wait_for()


def test_twelve_networks_are_compared_and_no_more(open_page):
    with open_page() as page:
        predicted(page)
        for _ in range(12):
            page.get_by_text("+ Copy").click()
        rows = predicted(page, 12)
        assert len({row[0] for row in rows}) == 12
        assert page.locator("#curves .curve").count() == 12
        styles = page.locator("#curves g").evaluate_all(
            "all => all.map(g => g.className.baseVal + g.querySelector('.curve').className.baseVal)"
        )
        assert len(set(styles)) == 12


def test_a_hostile_name_stays_a_name(open_page, tmp_path):
    """In the page, in the request as Python, which runs, and as curl, whose shell takes it as one word."""
    with open_page() as page:
        paste(page, {"id": HOSTILE, "layers": CHAIN})
        predicted(page)
        page.wait_for_function("name => document.querySelector('#results td').textContent === name", arg=HOSTILE)
        assert page.input_value("#name") == HOSTILE
        assert page.locator("main img").count() == page.locator("main script").count() == 0
        assert page.title() == "Peephole"
        curl, python = page.locator("#curl").text_content(), page.locator("#python").text_content()
    words = shlex.split(curl)
    assert json.loads(words[words.index("-d") + 1])["architectures"][0]["id"] == HOSTILE
    printed = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=True).stdout
    assert printed.startswith(HOSTILE + " 0.")


def test_requests_are_copied(open_page):
    with open_page() as page:
        predicted(page)
        page.get_by_text("The same request as curl").click()
        page.locator("[data-copy=curl]").click()
        page.locator("[data-copy=curl]").get_by_text("Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curl").text_content()


def test_a_view_is_in_the_address(open_page):
    """Opened elsewhere, it shows the same; what is no view is said to be none."""
    with open_page() as page:
        page.locator("#task").select_option("metaqnn-svhn")
        paste(page, {"id": "mine", "layers": CHAIN})
        page.fill("#observed", "0.3, 0.4")
        expected = predicted(page)
        page.wait_for_timeout(700)
        expected, fragment = predicted(page), page.evaluate("location.hash")
    with open_page(fragment) as page:
        assert predicted(page) == expected
        assert page.input_value("#task") == "metaqnn-svhn"
        assert page.input_value("#observed") == "0.3, 0.4"
    with open_page("#nonsense") as page:
        assert len(predicted(page)) == 1
        assert "no view that can be read" in page.locator("#task-line").inner_text()


def test_accuracies_seen_so_far_narrow_the_band(open_page, picture):
    """And with the best so far there is a probability of beating it."""

    def spread():
        lower, upper = predicted(page)[0][INTERVAL].split(" – ")
        return float(upper) - float(lower)

    with open_page() as page:
        before = (predicted(page), spread())[1]
        page.fill("#observed", "0.25, 0.3, 0.33, 0.35")
        page.wait_for_function("() => document.querySelectorAll('#curves circle.seen').length === 4")
        assert spread() < before
        page.fill("#best", "0.5")
        page.locator("#decision").get_by_text("Probability of beating 0.5").wait_for()
        picture(page, "playground-training")


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(open_page, picture, width):
    """In light and dark, in every view."""
    with open_page(width=width, height=740, color_scheme="dark") as page:
        predicted(page)
        page.locator("[data-layer='3']").click()
        for view in ("Population", "Tasks", "Networks"):
            page.get_by_role("button", name=view, exact=True).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        predicted(page)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(22, 24, 28)"
        if width == 360:
            picture(page, "playground-phone")


def test_it_is_used_with_the_keyboard_alone(open_page):
    """From the top: the views, an example, a layer, its slider; the focus stays where it was."""
    with open_page() as page:
        predicted(page)

        def tab_to(selector):
            for _ in range(80):
                page.keyboard.press("Tab")
                if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    return
            raise AssertionError(f"{selector} is not reached")

        tab_to("#examples button")
        page.keyboard.press("Enter")
        page.locator("#results td").get_by_text("VGG").wait_for()
        tab_to("[data-layer='0']")
        page.keyboard.press("Enter")
        tab_to("#editor input[type=range]")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.type") == "range"
        page.locator("[data-layer='0'] .what").get_by_text("4×4").wait_for()
        tab_to("#curves svg")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#curves .readout").inner_text().startswith("epoch 9: VGG")
