"""Settings: how they are read, which values are rejected, which names are taken for misspelt ones."""

import os
from pathlib import Path

import pytest

from service.main import is_public, main
from service.settings import Settings, misspelt, variable_of


def rejection(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **env: str) -> str:
    """Start with these settings, which must be rejected; return the line that says why."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    printed = capsys.readouterr()
    assert not printed.out
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PEEPHOLE_THREADS", "many"),
        ("PEEPHOLE_THREADS", "-1"),
        ("PORT", "99999"),
        ("PEEPHOLE_PROVIDER", "tpu"),
        ("PEEPHOLE_API_KEYS_FILE", "/no/such"),
        ("PEEPHOLE_API_KEYS_FILE", "/dev/null"),
        ("PEEPHOLE_API_KEYS", "good, schl\u00fcssel"),
        ("PEEPHOLE_API_KEYS", "k\udcff"),
        ("PEEPHOLE_DRAIN_SECONDS", "inf"),
        ("PEEPHOLE_HANG_SECONDS", "nan"),
        ("PEEPHOLE_MAX_BODY_BYTES", "1000"),
        ("PEEPHOLE_LOG_LEVEL", "loud"),
        ("PEEPHOLE_DATABASE_URL", "mysql://root@h/tasks"),
        ("PEEPHOLE_MAX_TASKS", "-1"),
        ("PEEPHOLE_SHIPPED", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """One line that names the setting; the value, which may be a secret, is not repeated."""
    line = rejection(monkeypatch, capsys, **{name: value})
    assert name in line
    assert value not in line


def test_a_folder_without_an_artifact_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A path is no secret, and the operator has to find it."""
    line = rejection(monkeypatch, capsys, PEEPHOLE_MODELS=str(tmp_path))
    assert line == f"peephole: PEEPHOLE_MODELS: {tmp_path}: no artifact here; expected card.json or folders with one"


def test_a_public_address_without_a_key_has_to_be_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service does not start and says which settings would do."""
    line = rejection(monkeypatch, capsys, HOST="0.0.0.0")
    assert "PEEPHOLE_API_KEYS" in line
    assert "PEEPHOLE_PUBLIC_WITHOUT_KEY" in line


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True), ("10.0.0.7", True)],
)
def test_public_addresses_are_told_from_private_ones(host: str, public: bool) -> None:
    """Only an address that other machines reach needs a key."""
    assert is_public(host) is public


def test_lists_are_read_from_one_variable_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are separated as in PATH, origins by commas; blanks and empty parts do not count."""
    monkeypatch.setenv("PEEPHOLE_MODELS", os.pathsep.join(["/a", "", "/b"]))
    monkeypatch.setenv("PEEPHOLE_CORS_ORIGINS", "http://localhost:1, ,http://localhost:2 ")
    settings = Settings()
    assert settings.models == (Path("/a"), Path("/b"))
    assert settings.cors_origins == ("http://localhost:1", "http://localhost:2")


def test_host_and_port_carry_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """As hosting platforms set them."""
    monkeypatch.setenv("HOST", "::1")
    monkeypatch.setenv("PORT", "1234")
    assert (Settings().host, Settings().port) == ("::1", 1234)
    assert [variable_of(name) for name in ("host", "port", "max_layers")] == ["HOST", "PORT", "PEEPHOLE_MAX_LAYERS"]


@pytest.mark.parametrize("text", ["key", "key\n", "\ufeffkey\r\n", "# old\nkey\n\n", "  key  \n"])
def test_a_file_of_keys_is_read_however_it_is_written(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(text.encode())
    assert Settings(api_keys_file=file).keys() == {"key": "default"}


def test_a_key_may_have_an_owner(tmp_path: Path) -> None:
    """Several keys may have one; what is behind the first colon is the key."""
    file = tmp_path / "keys"
    file.write_text("ann:new\nplain\n")
    keys = Settings(api_keys="ann:old, bob: b:c, plain", api_keys_file=file).keys()
    assert keys == {"old": "ann", "b:c": "bob", "plain": "default", "new": "ann"}


@pytest.mark.parametrize(
    "listed", [":secret", "a b:secret", "ann:", "ä:secret", "ann:secret,bob:secret", "secret,bob:secret"]
)
def test_a_key_has_one_owner_with_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], listed: str
) -> None:
    line = rejection(monkeypatch, capsys, PEEPHOLE_API_KEYS=listed)
    assert "PEEPHOLE_API_KEYS" in line
    assert "secret" not in line


def test_a_key_has_one_owner_in_both_places(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("bob:secret")
    line = rejection(monkeypatch, capsys, PEEPHOLE_API_KEYS="ann:secret", PEEPHOLE_API_KEYS_FILE=str(file))
    assert "PEEPHOLE_API_KEYS_FILE" in line


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PEEPHOLE_MAX_LAYER", "PEEPHOLE_MAX_LAYERS"),
        ("PEEPHOLE_API_KEY", "PEEPHOLE_API_KEYS"),
        ("PEEPHOLE_MODEL", "PEEPHOLE_MODELS"),
        ("peephole_thread", "PEEPHOLE_THREADS"),
        ("PEEPHOLE_ROOTPATH", "PEEPHOLE_ROOT_PATH"),
        ("PEEPHOLE_CORS_ORIGIN", "PEEPHOLE_CORS_ORIGINS"),
        ("PEEPHOLE_PORT", "PORT"),
    ],
)
def test_a_misspelt_setting_is_noticed(name: str, meant: str) -> None:
    """The name that was probably meant is known; nothing is said of what is set right or belongs to others."""
    assert misspelt([name, "PATH"]) == {name: meant}


def test_no_setting_is_taken_for_a_misspelt_one() -> None:
    """Nor are compose's own variables."""
    names = [variable_of(name) for name in Settings.model_fields]
    assert not misspelt([*names, "peephole_threads", "PEEPHOLE_CPUS", "PEEPHOLE_MEMORY"])
    assert not misspelt(["PEEPHOLE_PUBLISH", "PEEPHOLE_BENCH_PORT", "PEEPHOLE_SERVICE_HOST", "POST"])
