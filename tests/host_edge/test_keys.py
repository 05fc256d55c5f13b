"""A host for other machines: keys are made, kept and told by commands, and only who is trusted comes in."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from descant.host.cli import app
from descant.host.edge import keys
from descant.host.errors import HostError
from descant.plugin_bridge import BridgeClient, CurveKeys, WireError

STUDIO = "tcp://studio.local:47474"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the user's configuration lies."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "descant"


def test_a_bridge_is_added_listed_and_removed(home: Path) -> None:
    run = CliRunner()
    assert "No keys yet" in run.invoke(app, ["keys", "list"]).output
    made = run.invoke(app, ["keys", "add", "laptop", "--endpoint", STUDIO])
    assert made.exit_code == 0
    told = tomllib.loads(made.stdout)
    kept = keys.read_keys()
    assert kept is not None and told["endpoint"] == STUDIO
    assert (told["host_key"], told["public_key"]) == (kept.public, kept.trusted["laptop"])
    assert told["secret_key"] not in (home / "keys.toml").read_text()
    assert stat.S_IMODE((home / "keys.toml").stat().st_mode) == 0o600
    again = tomllib.loads(keys.add("laptop", STUDIO))
    other = tomllib.loads(keys.add("desk", STUDIO))
    assert again["public_key"] != told["public_key"] and again["host_key"] == other["host_key"]
    shown = run.invoke(app, ["keys", "list"]).output
    assert again["public_key"] in shown and told["public_key"] not in shown and "desk" in shown
    assert kept.secret not in shown
    assert run.invoke(app, ["keys", "rm", "laptop"]).exit_code == 0
    left = keys.read_keys()
    assert left is not None and list(left.trusted) == ["desk"]
    with pytest.raises(HostError, match="there are: desk"):
        keys.remove("laptop")
    assert [path.name for path in home.iterdir()] == ["keys.toml"]


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("a b", STUDIO),
        ("", STUDIO),
        ("x" * 41, STUDIO),
        ("a\n[trusted]", STUDIO),
        ("ok", "tcp://*:47474"),
        ("ok", "tcp://0.0.0.0:47474"),
        ("ok", "tcp://[::]:47474"),
        ("ok", "ipc:///tmp/x"),
        ("ok", "tcp://studio"),
        ("ok", "tcp://studio:0"),
        ("ok", "http://studio:80"),
    ],
)
def test_names_and_addresses_that_cannot_be_change_nothing(home: Path, name: str, endpoint: str) -> None:
    with pytest.raises(HostError) as caught:
        keys.add(name, endpoint)
    assert all((caught.value.what, caught.value.still, caught.value.do)) and not home.exists()


def test_a_file_that_is_damaged_or_open_to_others_is_not_used(home: Path) -> None:
    keys.add("laptop", STUDIO)
    path = home / "keys.toml"
    whole = path.read_text()
    for text in (
        "",
        "public = 3",
        whole.replace("[trusted]", "[trusted"),
        whole + 'x = "short"\n',
        "\0",
        "[" * 5000,
    ):
        path.write_text(text)
        with pytest.raises(HostError, match=r"keys\.toml"):
            keys.host_curve("tcp://0.0.0.0:47474")
        with pytest.raises(HostError):
            keys.add("desk", STUDIO)
        assert path.read_text() == text
    path.write_text(whole)
    path.chmod(0o644)
    with pytest.raises(HostError, match="read by others"):
        keys.host_curve("tcp://0.0.0.0:47474")


def test_where_nothing_can_be_written_the_keys_stay_as_they_were(home: Path) -> None:
    home.parent.mkdir()
    home.write_text("a file where the folder would be")
    with pytest.raises(HostError, match=r"keys\.toml") as caught:
        keys.add("laptop", STUDIO)
    assert caught.value.still and caught.value.do
    home.unlink()
    keys.add("laptop", STUDIO)
    (home / "real.toml").write_text((home / "keys.toml").read_text())
    (home / "keys.toml").unlink()
    (home / "keys.toml").mkdir()
    with pytest.raises(HostError):
        keys.add("desk", STUDIO)
    assert sorted(path.name for path in home.iterdir()) == ["keys.toml", "real.toml"]


def test_keys_are_asked_for_where_other_machines_reach_and_only_there(home: Path) -> None:
    for private in ("ipc:///tmp/x", "tcp://127.0.0.1:47474", "tcp://localhost:1", ""):
        assert keys.host_curve(private) is None and keys.bridge_curve(private) is None
    with pytest.raises(HostError, match="no bridge is trusted") as missing:
        keys.host_curve("tcp://0.0.0.0:47474")
    assert "descant keys add NAME --endpoint tcp://THIS-MACHINE:47474" in missing.value.do
    with pytest.raises(HostError, match="holds no keys"):
        keys.bridge_curve(STUDIO)
    lines = keys.add("laptop", STUDIO)
    (home / "plugin.toml").write_text(lines)
    mine, theirs = keys.bridge_curve(STUDIO), keys.host_curve("tcp://0.0.0.0:47474")
    assert mine is not None and theirs is not None
    assert mine.peers == {theirs.public} and theirs.peers == {mine.public}
    keys.remove("laptop")
    with pytest.raises(HostError, match="no bridge is trusted"):
        keys.host_curve("tcp://0.0.0.0:47474")


def test_a_real_host_lets_in_whom_it_trusts_and_nobody_else(home: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = tomllib.loads(keys.add("laptop", f"tcp://127.0.0.1:{port}"))
    friend = CurveKeys(
        told["public_key"].encode(), told["secret_key"].encode(), frozenset([told["host_key"].encode()])
    )
    words = [sys.executable, "-m", "descant.host.cli", "host", "--model", "tiny", "--threads", "1"]
    with (tmp_path / "log").open("wb") as log:
        host = subprocess.Popen(
            [*words, "--endpoint", f"tcp://0.0.0.0:{port}"], stdout=subprocess.PIPE, stderr=log
        )
    assert host.stdout is not None
    try:
        assert host.stdout.readline().startswith(b"ready"), (tmp_path / "log").read_text()
        client = BridgeClient(told["endpoint"], curve=friend)
        client.connect(20_000)
        for curve in (None, CurveKeys.make().trusting(told["host_key"].encode())):
            stranger = BridgeClient(told["endpoint"], curve=curve)
            with pytest.raises(WireError):
                stranger.connect(500)
            stranger.close()
        assert client.state == "live"
        client.close()
    finally:
        host.terminate()
        host.wait(20)
        host.stdout.close()
