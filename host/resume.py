"""A session as bytes and back, so that another engine can carry it on: what it plays, and the last tokens of
its stream.

Knows nothing about who keeps the bytes. No pickle: msgpack with the types of the schedule itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from descant.host.ear import Ears
from descant.host.errors import SessionError
from descant.host.events import SessionHello
from descant.host.lines import Wish
from descant.host.pads import Pads
from descant.host.preset import Preset, find_preset
from descant.host.schedule import Cue, Edit, Scene
from descant.host.session import Session
from descant.host.transport import Timeline
from descant.host.voice import GUIDED, MAX_REWIND
from descant.model import Generator, ModelError, MusicModel, Snapshot

EPOCHS_LOST = 1000  # more epochs than can have passed since the bytes were written


@dataclass(frozen=True)
class _Saved:
    hello: SessionHello
    weights_hash: str
    preset: str
    texts: list[str]
    keys: dict[int, str]
    chosen: dict[str, float]
    playhead: int
    offline: bool
    jumps: int | None
    sent: int
    epoch: int
    timeline: Timeline
    base: dict[str, Any]
    edits: list[tuple[int, str, Any, bool, bool]]
    cues: list[Cue]
    wishes: list[Wish]
    stream: bytes  # of the model's Snapshot, empty when nothing sounds


def pack(session: Session) -> bytes:
    """The session as bytes, some tens of KB."""
    generator = session.playback.current()
    score = session.score
    saved = _Saved(
        session.hello,
        session.weights_hash,
        score.preset.name,
        score.pads.texts,
        score.pads.keys,
        score.pads.chosen,
        session.pacing.playhead,
        session.pacing.offline,
        session.pacing.jumps,
        session.playback.sent,
        session.playback.epoch,
        score.timeline,
        {name: getattr(score.schedule.base, name) for name in _SCENE_TYPES},
        [
            (edit.at_sample, edit.field, edit.value, edit.by_trigger, edit.late)
            for edit in score.schedule.edits
        ],
        list(score.schedule.cues),
        list(score.wishes),
        generator.snapshot().to_bytes() if generator is not None else b"",
    )
    return msgspec.msgpack.encode(saved, enc_hook=_to_plain)


def unpack(data: bytes, model: MusicModel, presets: Mapping[str, Preset], ears: Ears) -> Session:
    """The session again; its stream goes on where the client's first heartbeat says. Runs the stream's last
    columns.

    Errors: SessionError for bytes that are no snapshot, or of another model or preset.
    """
    try:
        saved = msgspec.msgpack.decode(data, type=_Saved, dec_hook=_from_plain)
        base = {name: _typed(name, value) for name, value in saved.base.items()}
        edits = [Edit(at, name, _typed(name, value), *how) for at, name, value, *how in saved.edits]
        scene = Scene(**base)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise _refused(f"these {len(data)} bytes are no session: {error}") from error
    if saved.weights_hash != model.weights_hash:
        raise _refused(f"the session was played by another model ({saved.weights_hash[:12]})")
    if saved.preset not in presets:
        raise _refused(f"the session's preset {saved.preset!r} is not loaded")
    session = Session(saved.hello, model, presets, ears)
    session.pacing = session.pacing.resumed(saved.playhead, saved.offline, saved.jumps)
    session.resumed_from(
        _pads(find_preset(presets, saved.preset), saved),
        saved.timeline,
        scene,
        edits,
        saved.cues,
        saved.sent,
        saved.epoch + EPOCHS_LOST,
        _stream(saved.stream, model) if saved.stream else None,
        saved.wishes,
    )
    return session


def _pads(preset: Preset, saved: _Saved) -> Pads:
    pads = Pads(preset)
    pads.keys, pads.chosen = saved.keys, saved.chosen
    if len(saved.texts) == len(pads.texts):  # else the preset's file was changed meanwhile
        pads.texts = saved.texts
    return pads


def _stream(data: bytes, model: MusicModel) -> Generator:
    try:
        snapshot = Snapshot.from_bytes(data)
        stream = model.stream(
            seed=snapshot.seed,
            sampling=snapshot.samplings[-1][1],
            max_rewind=MAX_REWIND,
            guided=GUIDED[snapshot.rows],
        )
        stream.restore(snapshot, now=False)
    except ModelError as error:
        raise _refused(f"its stream cannot go on: {error.what}") from error
    return stream


_SCENE_TYPES = get_type_hints(Scene)


def _typed(name: str, value: Any) -> Any:
    return msgspec.convert(value, _SCENE_TYPES[name], dec_hook=_from_plain)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, np.ndarray):
        return [value.shape[1], np.asarray(value, np.float32).tobytes()]
    raise NotImplementedError(f"{type(value).__name__} does not travel")


def _from_plain(kind: type, value: Any) -> Any:
    if kind is Fraction:
        return Fraction(value)
    if kind is np.ndarray or getattr(kind, "__origin__", None) is np.ndarray:
        width, data = msgspec.convert(value, tuple[int, bytes])
        rows: NDArray[np.float32] = np.frombuffer(data, np.float32).reshape(-1, width).copy()
        return rows
    raise NotImplementedError(f"{kind} does not travel")


def _refused(what: str) -> SessionError:
    return SessionError(what, "the engine serves new sessions", "open a new session")
