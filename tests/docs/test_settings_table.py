"""docs/operations.md is the one place that lists the settings, as the code has them."""

from typing import Any

from service.observability.metrics import REASONS
from service.settings import Settings, variable_of
from tests.docs.pages import PAGES, ROOT, read, table_rows

GUIDE = read("docs/operations.md")


def written(default: Any) -> str:
    """Return a default as one writes it in the environment."""
    if default is None:
        return "none"
    if default in ("", ()):
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_setting_is_listed_with_its_default_and_its_description():
    expected = []
    for name, field in Settings.model_fields.items():
        default = getattr(field.default, "get_secret_value", lambda field=field: field.default)()
        expected.append([f"`{variable_of(name)}`", written(default), field.description])
    assert table_rows(GUIDE, "Settings") == expected


def test_settings_are_listed_nowhere_else():
    rows = [f"| `{variable_of(name)}` |" for name in Settings.model_fields]
    for page in set(PAGES) - {ROOT / "docs/operations.md"}:
        assert not [row for row in rows if row in page.read_text()], page


def test_every_reason_of_a_rejection_is_listed():
    section = GUIDE.split("\n## Metrics\n")[1].split("\n## ")[0]
    assert [reason for reason in REASONS if f"`{reason}`" not in section] == []
