"""The model store against a small hub on this machine: pulled whole or not at all, checked, removed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import soundfile

from descant.host.cli import main
from descant.host.edge import model_store
from descant.host.edge.known_models import KNOWN
from descant.host.edge.model_store import Hub, Unreachable, pull, pulled, remove, wanted_files
from descant.host.errors import HostError
from descant.model import ModelError, load_model
from descant.model.checkpoints.pulled import find, folder_of
from tests.model.checkpoint_kit import make_codec, make_musicgen, save, save_audiocraft

NAME, COMMIT = "facebook/musicgen-small", "c0ffee" + "0" * 34
Run = Callable[..., tuple[int, str, str]]


@dataclass
class SmallHub:
    """What the hub of a test holds and how it misbehaves.

    files: by repository. cut: bytes after which each answer with a file breaks off. lies: files that come
    with a bit flipped. asked: the requests so far, as (path, Range).
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    licence: str | None = None
    cut: int | None = None
    ignores_range: bool = False
    lies: set[str] = field(default_factory=set)
    gated: bool = False
    commit: str = COMMIT
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def info(self, name: str) -> dict[str, Any]:
        siblings = []
        for file, content in self.files[name].items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            row: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": blob}
            if file.endswith((".safetensors", ".bin")):
                digest = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
            siblings.append(row)
        card = {"license": self.licence} if self.licence else None
        return {"id": name, "sha": self.commit, "siblings": siblings, "cardData": card}


class Handler(BaseHTTPRequestHandler):
    """The two endpoints of the hub that a pull uses."""

    hub: SmallHub

    def do_GET(self) -> None:
        path, hub = unquote(self.path.split("?")[0]).strip("/"), self.hub
        hub.asked.append((path, self.headers.get("Range")))
        if path.startswith("api/models/"):
            name, _, revision = path.removeprefix("api/models/").partition("/revision/")
            if name not in hub.files:
                return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            if hub.gated:
                return self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            if revision not in ("main", hub.commit):
                return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return self._answer(
                200, json.dumps(hub.info(name)).encode(), {"Content-Type": "application/json"}
            )
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        content = hub.files[name][file]
        assert revision == hub.commit
        if file in hub.lies:
            content = content[:-1] + bytes([content[-1] ^ 1])
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if hub.ignores_range:
            first = 0
        return self._answer(206 if first else 200, content[first:], {}, hub.cut)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = True

    def log_message(self, format: str, *values: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub with nothing in it, and a store of our own, empty."""
    small = SmallHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": small}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("DESCANT_MODELS", str(tmp_path / "store"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # as the suite sets it, so that nothing else asks
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield small
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tiny melody MusicGen as transformers saves it."""
    folder = save(make_musicgen(melody=True), tmp_path_factory.mktemp("saved"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], hub: SmallHub) -> Iterator[Run]:
    """Run the command in this process: exit code, standard output, standard error."""
    before, on_interrupt = dict(os.environ), signal.getsignal(signal.SIGINT)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return (end.value.code if isinstance(end.value.code, int) else 0), out, err

    yield call
    os.environ.clear()
    os.environ.update(before)
    signal.signal(signal.SIGINT, on_interrupt)


def fetch(name: str = NAME) -> Any:
    quick = Hub(retries=2, wait=0.0)
    return pull(quick.offer(name), quick)


def interrupted() -> int:
    """A pull that is interrupted when the first bytes of the weights have come; how many of them are here."""

    def interrupt(name: str, here: int, size: int) -> None:
        if name == "model.safetensors" and here:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(Hub().offer(NAME), Hub(), interrupt)
    return next(folder_of(NAME).parent.glob(".pulling/*/model.safetensors.part")).stat().st_size


def test_a_pulled_model_loads_and_renders_without_the_hub(
    hub: SmallHub, run: Run, model_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files["facebook/musicgen-melody"] = {**model_files, "pytorch_model.bin": b"x", "state_dict.bin": b"x"}
    code, _, err = run("models", "pull", "facebook/musicgen-melody", "--yes")
    assert code == 0, err
    assert "licence: CC-BY-NC 4.0" in err and f"revision {COMMIT[:12]}" in err
    assert not [path for path, _ in hub.asked if path.endswith(".bin")]
    manifest = pulled()[0]
    assert (manifest.id, manifest.revision) == ("facebook/musicgen-melody", COMMIT)
    assert {file.name for file in manifest.files} == set(model_files)
    for file in manifest.files:
        assert file.sha256 == hashlib.sha256(model_files[file.name]).hexdigest()
    asked = len(hub.asked)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody is there
    model = load_model("facebook/musicgen-melody")
    assert model.spec.name == "facebook/musicgen-melody" and model.spec.controls == ("text", "melody")
    code, out, _ = run("models", "show", "facebook/musicgen-melody")
    for part in (
        "text, melody (12 values, 30 before the music)",
        "lag 140.5 ms (562 samples)",
        "CC-BY-NC 4.0",
    ):
        assert part in out, out
    code, out, _ = run("models", "list")
    assert "facebook/musicgen-melody" in out and all(known.id in out for known in KNOWN)
    words = ("-p", "slow piano", "-s", "0.3", "--rate", "8000", "--out", tmp_path / "a.wav")
    code, _, err = run("render", "--model", "facebook/musicgen-melody", *words)
    assert code == 0, err
    assert soundfile.info(tmp_path / "a.wav").frames == 2400
    assert len(hub.asked) == asked


def test_what_is_here_is_not_pulled_again_unless_asked(hub: SmallHub, run: Run, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    assert run("models", "pull", NAME, "--yes")[0] == 0
    asked = len(hub.asked)
    code, _, err = run("models", "pull", NAME)
    assert code == 0 and "is here already" in err and len(hub.asked) == asked
    code, _, err = run("models", "pull", NAME, "--revision", "main")
    assert code == 0 and "is that one" in err and len(hub.asked) == asked + 1
    hub.files[NAME]["generation_config.json"], hub.commit = b"{}", "beef" * 10
    assert run("models", "pull", NAME, "--revision", "main", "--yes")[0] == 0
    assert pulled()[0].revision == hub.commit
    assert (folder_of(NAME) / "generation_config.json").read_bytes() == b"{}"
    assert load_model(NAME).spec.name == NAME


def test_the_licence_is_agreed_to_or_nothing_comes(hub: SmallHub, run: Run, model_files: Any) -> None:
    hub.files["someone/theirs"], hub.licence = dict(model_files), "openrail"
    code, _, err = run("models", "pull", "someone/theirs")
    assert code == 1 and "licence: openrail" in err and "Say yes on the command line: --yes" in err
    assert pulled() == [] and not [path for path, _ in hub.asked if "/resolve/" in path]
    assert Hub().offer("someone/theirs").licence == "openrail"
    hub.licence = None
    assert Hub().offer("someone/theirs").licence == "not stated"


def test_a_broken_connection_goes_on_where_it_stopped(hub: SmallHub, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    size = len(model_files["model.safetensors"])
    hub.cut = size // 3 + 1
    assert fetch().size == sum(map(len, model_files.values()))
    ranges = [sent for path, sent in hub.asked if path.endswith("model.safetensors")]
    assert ranges == [None, f"bytes={hub.cut}-", f"bytes={2 * hub.cut}-"]
    assert load_model(NAME).spec.name == NAME


def test_an_interrupted_pull_is_resumed_by_the_next(hub: SmallHub, run: Run, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    came = interrupted()
    assert find(NAME) is None and 0 < came < len(model_files["model.safetensors"])
    with pytest.raises(ModelError, match="not on this machine"):
        load_model(NAME)
    assert "in part" in run("models", "list")[1]
    before = len(hub.asked)
    assert run("models", "pull", NAME, "-y")[0] == 0
    later = {path.rsplit("/", 1)[1]: sent for path, sent in hub.asked[before:] if "/resolve/" in path}
    assert later["model.safetensors"] == f"bytes={came}-" and "config.json" not in later
    assert load_model(NAME).spec.name == NAME and model_store.partial(NAME) == 0


def test_a_hub_that_knows_no_ranges_starts_again(hub: SmallHub, model_files: Any) -> None:
    hub.files[NAME], hub.ignores_range = dict(model_files), True
    interrupted()
    fetch()
    assert load_model(NAME).spec.name == NAME


def test_a_hub_that_sends_nothing_is_given_up(hub: SmallHub, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    quick = Hub(retries=2, wait=0.0)
    offer, hub.cut = quick.offer(NAME), 0
    with pytest.raises(Unreachable, match="could not be reached"):
        pull(offer, quick)
    assert len(hub.asked) == 1 + 3


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_what_is_not_as_promised_is_thrown_away(hub: SmallHub, model_files: Any, file: str) -> None:
    hub.files[NAME], hub.lies = dict(model_files), {file}
    with pytest.raises(HostError, match="is not what the hub promised") as error:
        fetch()
    assert file in error.value.what and find(NAME) is None
    hub.lies = set()
    fetch()
    assert load_model(NAME).spec.name == NAME


def test_no_space_is_found_out_before_anything_comes(
    hub: SmallHub, model_files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[NAME] = dict(model_files)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=2**20))
    with pytest.raises(HostError, match=r"needs 0\.00 GB; .* has 0\.00 GB left"):
        fetch()
    assert not [path for path, _ in hub.asked if "/resolve/" in path]


def test_a_store_that_cannot_be_written(hub: SmallHub, model_files: Any, tmp_path: Path) -> None:
    hub.files[NAME] = dict(model_files)
    (tmp_path / "store").write_text("a file")
    with pytest.raises(HostError, match="cannot be written"):
        fetch()


def test_offline_says_so_in_three_lines(hub: SmallHub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = run("models", "pull", NAME, "--yes")
    lines = err.strip().splitlines()
    assert code == 1 and len(lines) == 3 and "could not be reached" in lines[0]
    assert lines[1] == "Models that were pulled work without the internet."
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in run("models", "pull", NAME, "--yes")[2]


def test_what_the_hub_refuses_is_told(hub: SmallHub, run: Run, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    for words, says in (
        (("facebook/none",), "The hub has no model facebook/none"),
        ((NAME, "--revision", "v9"), "has no such revision"),
        (("../etc",), "is no model id"),
    ):
        code, _, err = run("models", "pull", *words, "--yes")
        assert code == 1 and says in err and len(err.strip().splitlines()) == 3
    hub.gated = True
    assert "behind a gate" in run("models", "pull", NAME, "--yes")[2]


def test_pickles_come_only_when_asked_for_and_are_converted(
    hub: SmallHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_audiocraft(tmp_path / "theirs", make_musicgen())
    t5 = save_t5(tmp_path)
    hub.files["someone/tune"] = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.files["google-t5/t5-base"] = {path.name: path.read_bytes() for path in t5.iterdir()}
    code, _, err = run("models", "pull", "someone/tune", "--yes")
    assert code == 1 and "has no weights as safetensors" in err and "--pickles" in err
    for name, more in (("someone/tune", ("--pickles",)), ("google-t5/t5-base", ())):
        code, _, err = run("models", "pull", name, "--yes", *more)
        assert code == 0, err
    with pytest.raises(ModelError, match="it was not read"):
        load_model("someone/tune")
    code, _, err = run("models", "convert", "someone/tune", tmp_path / "mine")
    assert code == 0 and "lm.safetensors" in err
    code, out, _ = run("models", "show", tmp_path / "mine")
    assert code == 0 and "mine: makes music" in out
    assert "text encoder" in run("models", "show", "google-t5/t5-base")[1]
    words = ("-p", "slow", "-s", "0.2", "--rate", "8000", "--out", tmp_path / "a.wav")
    code, _, err = run("render", "--model", tmp_path / "mine", *words)
    assert code == 0, err


def save_t5(tmp_path: Path) -> Path:
    from tests.model.checkpoint_kit import make_t5

    return save(make_t5(), tmp_path / "t5")


def test_removing_asks_and_frees(hub: SmallHub, run: Run, model_files: Any, tmp_path: Path) -> None:
    hub.files[NAME] = dict(model_files)
    fetch()
    code, _, err = run("models", "rm", NAME)
    assert code == 1 and "Remove facebook/musicgen-small" in err and find(NAME) is not None
    code, _, err = run("models", "rm", NAME, "--yes")
    assert code == 0 and "are free again" in err and find(NAME) is None
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    code, _, err = run("models", "rm", NAME, "--yes")
    assert code == 1 and "is not on this machine" in err
    with pytest.raises(HostError, match="is not on this machine"):
        remove(NAME)


def test_a_flipped_bit_of_a_pulled_file_is_found_when_it_is_loaded(hub: SmallHub, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    fetch()
    weights = folder_of(NAME) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="is not what was pulled"):
        load_model(NAME)


def test_what_can_be_done_with_it_is_said_after_a_pull(
    hub: SmallHub, run: Run, model_files: Any, tmp_path: Path
) -> None:
    hub.files[NAME] = model_files
    codec = save(make_codec(), tmp_path / "codec", tokenizer=False)
    hub.files["facebook/encodec_32khz"] = {path.name: path.read_bytes() for path in codec.iterdir()}
    assert f"descant render --model {NAME}" in run("models", "pull", NAME, "--yes")[2]
    said = run("models", "pull", "facebook/encodec_32khz", "--yes")[2]
    assert "descant render" not in said and "name it" in said


def test_a_codec_is_pulled_and_shown(hub: SmallHub, run: Run, tmp_path: Path) -> None:
    folder = save(make_codec(), tmp_path / "codec", tokenizer=False)
    hub.files["facebook/encodec_32khz"] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run("models", "pull", "facebook/encodec_32khz", "--yes")[0] == 0
    code, out, _ = run("models", "show", "facebook/encodec_32khz")
    assert code == 0 and "a codec" in out and "4000 Hz mono, 4 codebooks of 32" in out


def test_one_pull_of_a_model_at_a_time(hub: SmallHub, model_files: Any) -> None:
    hub.files[NAME] = dict(model_files)
    with (
        model_store._locked(folder_of(NAME).parent / ".pulling", folder_of(NAME).name),
        pytest.raises(HostError, match="facebook/musicgen-small is being pulled by another process"),
    ):
        fetch()


def test_the_files_a_model_needs() -> None:
    shards = {f"model-0000{i}-of-00002.safetensors" for i in (1, 2)} | {"model.safetensors.index.json"}
    other = {"README.md", "flax_model.msgpack", "pytorch_model.bin", "logo.png", "../x/config.json"}
    small = {"config.json", "tokenizer.json", "spiece.model"}
    assert wanted_files([*shards, *other, *small], False, NAME) == shards | small
    assert wanted_files(["model.safetensors", *shards, *small], True, NAME) == {"model.safetensors"} | small
    assert wanted_files([*other, *small], True, NAME) == {"pytorch_model.bin"} | small
    theirs = {"state_dict.bin", "compression_state_dict.bin"}
    assert wanted_files([*theirs, *other, *small], True, NAME) == theirs | small
    ours = {"lm.safetensors", "codec.safetensors", "config.json"}
    assert wanted_files([*ours, *other], False, NAME) == ours
    with pytest.raises(HostError):
        wanted_files([*theirs, *other], False, NAME)
