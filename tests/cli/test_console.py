"""Text is printed as it stands: nothing in a name is a style, and nothing is cut in a pipe."""

import pytest

from cli.console import describe, print_figures, print_table


@pytest.mark.parametrize("name", ["[/x]", "a[b]c", "a:smile:b", "evolved-in-distribution-" * 20])
def test_names_are_printed_as_they_stand(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    print_table(f"{name}.jsonl", ("id", "notes"), [(name, "none")])
    said = capsys.readouterr().out
    assert f"{name}.jsonl" in said
    assert f" {name} " in said
    print_figures(f"{name}.jsonl", {"layer types": name, "tau": 0.123456, "new": None})
    said = capsys.readouterr().out
    assert f"{name}.jsonl" in said
    assert f" {name} " in said
    assert "0.1235" in said
    assert "unknown" in said


def test_errors_of_the_system_name_their_file_first():
    assert describe(PermissionError(13, "Permission denied", "mine.json")) == "mine.json: permission denied"
    assert describe(OSError("said already")) == "said already"
