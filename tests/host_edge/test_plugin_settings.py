"""Where the plugin looks for a host, and every line it is told in vain, as `where` and `doctor` say it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from descant.host.cli import app
from descant.host.edge.plugin_settings import found
from descant.host.edge.settings import default_endpoint

KEYS = "".join(f'{name} = "{"k" * 40}"\n' for name in ("host_key", "public_key", "secret_key"))


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """plugin.toml of a user who has none yet."""
    monkeypatch.delenv("DESCANT_ENDPOINT", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "descant").mkdir()
    return tmp_path / "descant" / "plugin.toml"


def test_the_environment_comes_before_the_file_before_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (found().endpoint, found().problems) == (default_endpoint(), ())
    file.write_text('# mine\nendpoint = "ipc:///file"  # so\nkey.60 = \'warm "strings"\'\n\n')
    assert (found().endpoint, found().source, found().problems) == ("ipc:///file", str(file), ())
    monkeypatch.setenv("DESCANT_ENDPOINT", "tcp://127.0.0.1:5000")
    assert (found().endpoint, found().source) == ("tcp://127.0.0.1:5000", "DESCANT_ENDPOINT")
    monkeypatch.setenv("DESCANT_ENDPOINT", "nonsense")
    assert found().endpoint == "ipc:///file" and "DESCANT_ENDPOINT 'nonsense'" in found().problems[0]
    told = CliRunner().invoke(app, ["plugin", "where"]).output
    assert f"ipc:///file (by {file})" in told and "'nonsense'" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('endpoint = "studio"', "'studio' is no address"),
        ('endpoint = "ipc:///x', "nothing is made of line 1"),
        ("endpoint", "nothing is made of line 1"),
        ('key.300 = "x"', "there is no key.300"),
        ('key.-1 = "x"', "means nothing"),
        ('endpiont = "ipc:///x"', "'endpiont' means nothing"),
        ('host_key = "short"', "5 characters"),
        ('start_host = "/nope/descant"', "no program by its whole path"),
        ('start_host = "~/descant"', "no program by its whole path"),
        ("[plugin]\n" * 8, "line 1, 2, 3, 4, 5 and 3 more"),
        ("\0" * 100_000, "nothing is made of line 1"),
        ('endpoint = "tcp://192.168.1.2:5000"', "has no keys for it"),
    ],
)
def test_what_is_told_in_vain_is_said(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    assert said in "\n".join(found().problems)
    assert said in CliRunner().invoke(app, ["plugin", "where"]).output.replace("\n", "")


def test_random_bytes_and_a_folder_are_told_and_nothing_breaks(file: Path) -> None:
    for _ in range(20):
        file.write_bytes(os.urandom(20_000))
        assert found().problems and found().endpoint == default_endpoint()
    file.unlink()
    file.mkdir()
    assert "cannot be read" in found().problems[0]


def test_another_machine_with_its_keys_is_right(file: Path) -> None:
    file.write_text(f'endpoint = "tcp://192.168.1.2:5000"\n{KEYS}')
    assert (found().endpoint, found().problems) == ("tcp://192.168.1.2:5000", ())
