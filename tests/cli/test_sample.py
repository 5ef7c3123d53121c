"""`sample` prints one body that POST /predict accepts; `select` prints the best, or the body of them."""

import json

from cli.options import TASKS
from model.network.hashing import canonical_hash
from model.network.schema import ARCHITECTURE
from model.requests.schema import PREDICT_REQUEST
from training.protocols import PROTOCOLS


def test_a_sample_is_a_valid_body_with_the_task(peephole):
    for name, protocol in PROTOCOLS.items():
        document = json.loads(peephole("sample", "--protocol", name, "-n", "2").out)
        PREDICT_REQUEST.validate_json(json.dumps(document))
        assert document.get("task") == (name if name in TASKS else None)
        for one in document["architectures"]:
            assert one["id"] == canonical_hash(one["layers"], protocol.image)


def test_json_lines_are_the_same_networks(peephole):
    whole = json.loads(peephole("sample", "--protocol", "mnist-mini", "-n", "5").out)["architectures"]
    lines = peephole("sample", "--protocol", "mnist-mini", "-n", "3", "--skip", "2", "--jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == whole[2:]
    assert [ARCHITECTURE.validate_json(line)["id"] for line in lines] == [one["id"] for one in whole[2:]]


def test_select_shows_the_best_and_how_reliable_their_order_is(peephole, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    arguments = ("select", "--task", "mnist-mini", "--candidates", "60", "--top", "4", "--seed", "3")
    found = peephole(*arguments).out.splitlines()
    rows = [line.split() for line in found[4:] if line.strip() and line.split()[0].isdigit()]
    assert found[0].startswith("mnist-mini: best of 60 networks, predicted after 10 epochs")
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    body = json.loads(peephole(*arguments, "--json").out)
    assert [row[1] for row in rows] == [one["id"] for one in body["architectures"]]
    lower = float(rows[0][3])
    alike = sum(float(row[2]) >= lower for row in rows)
    assert (
        found[-1]
        == f"The first {alike} are within the interval of the best: their order is not reliable. Train several."
    )
    predicted = json.loads(peephole("predict", "-", "--json", stdin=json.dumps(body)).out)
    assert [one["rank"] for one in predicted["predictions"]] == sorted(one["rank"] for one in predicted["predictions"])
