"""docs/api.md lists what the service has: every problem type, every layer type with its fields, every route."""

import re

from model.network.schema import FIELDS
from service.app import create_app
from service.errors import PROBLEM_TYPES
from service.settings import Settings
from tests.docs.pages import read, table_rows

PAGE = read("docs/api.md")


def test_every_problem_type_is_listed_with_its_status():
    listed = {row[0].strip("`"): int(row[1]) for row in table_rows(PAGE, "Errors")}
    assert listed == {slug: kind.status for slug, kind in PROBLEM_TYPES.items()}


def test_every_layer_type_is_listed_with_its_fields():
    listed = {}
    for types, fields in table_rows(PAGE, "Networks"):
        for kind in re.findall(r"`(\w+)`", types):
            listed[kind] = set(re.findall(r"`(\w+)`", fields))
    assert listed == {kind: set(fields) for kind, fields in FIELDS.items()}


def test_every_route_is_on_the_page():
    paths = create_app(Settings()).openapi()["paths"]
    first = {"/" + path.split("/")[1] for path in paths}
    assert [path for path in sorted(first) if path not in PAGE] == []
