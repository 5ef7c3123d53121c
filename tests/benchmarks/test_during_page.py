"""The tables of docs/results.md on curves and weights are those of the readings in docs/data."""

import re

import pytest

pytest.importorskip("torch")

from benchmarks import during_page


def test_the_page_says_what_its_readings_say():
    page = during_page.PAGE.read_text()
    blocks = dict(re.findall(r"<!-- table: ([a-z0-9 -]+) -->\n\n(.*?)\n\n<!-- end -->", page, re.DOTALL))
    del blocks["held-out"]  # predicts networks of the tables, which takes seconds and grows with them
    assert {"replays", "live", "weights", "statistics", "during mnist-mini"} <= set(blocks)
    for name, text in blocks.items():
        assert text == during_page._table(name), f"{name}: run `python -m benchmarks.during_page`"
