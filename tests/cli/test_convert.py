"""`convert` turns files of notations into a request body, and says where one is wrong."""

import json

from model.network.notations import nasbench101, nasbench201
from model.requests.schema import PREDICT_REQUEST

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
OPS = ["nor_conv_3x3", "none", "skip_connect", "skip_connect", "none", "nor_conv_1x1"]
CONV = {"ops": ["conv3x3"], "edges": [[0, 1], [1, 2]]}


def architectures(found):
    body = PREDICT_REQUEST.validate_json(found.out)
    return body["architectures"]


def test_every_way_to_write_a_cell_gives_one_network(peephole):
    one = nasbench201(OPS)
    inputs = [CELL, json.dumps(CELL), json.dumps(OPS), json.dumps([CELL]), json.dumps([OPS]), f"\ufeff{CELL}\r\n"]
    for text in inputs:
        found = architectures(peephole("convert", "-", "--space", "nasbench201", stdin=text))
        assert found == [{"layers": one}], text


def test_a_table_row_keeps_its_id(peephole, tmp_path):
    file = tmp_path / "cells.jsonl"
    rows = [{"id": 7, "arch": CONV}, {"id": "b", "arch": json.dumps(CONV)}, CONV]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = architectures(peephole("convert", file, "--space", "nasbench101"))
    assert [one.get("id") for one in found] == ["7", "b", None]
    assert all(one["layers"] == nasbench101(**CONV) for one in found)
    lines = peephole("convert", file, "--space", "nasbench101", "--jsonl").out.splitlines()
    assert (
        PREDICT_REQUEST.validate_python({"architectures": [json.loads(line) for line in lines]})["architectures"]
        == found
    )


def test_a_fault_is_named_with_its_line_or_place(rejected):
    def said(text, space="nasbench101"):
        return rejected("convert", "-", "--space", space, stdin=text)

    good, bad = json.dumps(CONV), json.dumps(CONV | {"ops": ["conv5x5"]})
    assert said(f"{good}\n\n{bad}").startswith("-: line 3: ops/0: must be one of conv1x1")
    assert said(f"[{good}, {bad}]").startswith("-: /1: ops/0: must be one of conv1x1")
    assert said(bad).startswith("-: ops/0: must be one of conv1x1")
    assert said(f"{good}\n{{").startswith("-: line 2: not JSON")
    assert said('{\n"ops": [1,,]}').startswith("-: not JSON: ")
    assert said(" \n") == "-: holds no notation"
    assert "|op~0|" in said("|none|", "nasbench201")
    assert said(json.dumps({"arch": "{"})).startswith("-: arch is not JSON")


def test_a_space_that_does_not_exist_is_a_usage_error(peephole):
    found = peephole("convert", "-", "--space", "nasbench401", stdin="{}")
    assert found.status == 2
    assert "nasbench101" in found.err


def test_a_notation_of_too_many_layers_is_rejected(rejected):
    stages = [{"out": 32, "kernel": 3, "layers": 1000}]
    assert "the limit is 2048" in rejected("convert", "-", "--space", "mbconv", stdin=json.dumps(stages))
