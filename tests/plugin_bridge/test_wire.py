"""The table: every row round-trips, its bytes are pinned, and whatever else comes is a typed error."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.plugin_bridge import printing, wire
from descant.plugin_bridge.errors import Code, WireError
from descant.plugin_bridge.fields import (
    MAX_ABS_SAMPLE,
    MAX_BLOCK_SAMPLES,
    MAX_CHANNELS,
    Choice,
    Flag,
    Names,
    Samples,
    Scalar,
    Text,
)
from descant.plugin_bridge.table import HEADER_FIELDS, MAGIC

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "wire-v1.txt"
ids = [entry.name for entry in wire.ROWS]
every_row = pytest.mark.parametrize("entry", wire.ROWS, ids=ids)
plain = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
word = st.characters(exclude_characters="\0\n", exclude_categories=("Cs",))


def values(kind):
    match kind:
        case Scalar(code="f"):
            return st.floats(kind.low, kind.high, width=32)
        case Scalar(code="d"):
            return st.floats(kind.low, kind.high)
        case Scalar():
            return st.integers(int(kind.low), int(kind.high))
        case Flag():
            return st.booleans()
        case Choice():
            return st.sampled_from(kind.names)
        case Text():
            return st.text(plain, min_size=kind.low, max_size=min(kind.high, 40))
        case Names():
            return st.lists(st.text(word, min_size=1, max_size=9), max_size=min(kind.count, 5)).map(tuple)
        case Samples():
            shape = st.tuples(st.integers(1, MAX_CHANNELS), st.integers(1, 40), st.integers(0, 2**32 - 1))
            return shape.map(lambda s: np.random.default_rng(s[2]).uniform(-1, 1, s[:2]).astype(np.float32))


def messages(entry):
    return st.builds(entry.cls, **{name: values(kind) for name, kind in (*HEADER_FIELDS, *entry.fields)})


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(wire.ROWS).flatmap(messages))
def test_every_message_round_trips(message):
    parts = wire.encode(message)
    back = wire.decode(parts)
    assert back == message
    assert wire.encode(back) == parts
    assert all(len(part) <= wire.MAX_PART_BYTES for part in parts) and len(parts) <= wire.MAX_PARTS


@every_row
def test_a_different_byte_in_each_place_comes_back_in_its_place(entry):
    """No two numbers of the example are alike, so a swap shows; every byte of every part means something."""
    message = printing.example(entry)
    parts = wire.encode(message)
    assert wire.decode(parts) == message
    scalars = [value for value in msgspec.structs.asdict(message).values() if type(value) in (int, float)]
    assert len(set(scalars)) == len(scalars)
    for at, part in enumerate(parts):
        for place in range(len(part)):
            changed = part[:place] + bytes([part[place] ^ 1]) + part[place + 1 :]
            try:
                assert wire.decode([*parts[:at], changed, *parts[at + 1 :]]) != message, (at, place)
            except WireError as error:
                assert isinstance(error.code, Code)


def test_golden_bytes_have_not_changed():
    lines = [line for line in GOLDEN.read_text("utf-8").splitlines() if not line.startswith("#")]
    found: dict[str, list[bytes]] = {}
    name = ""
    for line in lines:
        if line.startswith("  "):
            found[name].append(bytes.fromhex(line))
        else:
            name = line
            found[name] = []
    assert list(found) == ids
    for entry in wire.ROWS:
        assert wire.encode(printing.example(entry)) == found[entry.name], entry.name
        assert wire.decode(found[entry.name]) == printing.example(entry), entry.name


def test_numbers_and_names_are_unique_and_the_header_is_24_bytes():
    assert (
        len({entry.number for entry in wire.ROWS})
        == len({entry.name for entry in wire.ROWS})
        == len(wire.ROWS)
    )
    assert wire.HEADER.size == 24


@every_row
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_truncated_padded_and_miscounted_messages_are_typed_errors(entry, data):
    parts = wire.encode(printing.example(entry))
    cut = data.draw(st.integers(0, len(parts[0]) - 1))
    assert refused([parts[0][:cut], *parts[1:]]) == Code.SIZE
    assert refused([parts[0] + b"\0", *parts[1:]]) == Code.SIZE
    assert refused([*parts, b""]) == Code.PARTS
    if len(parts) > 1:
        assert refused(parts[:-1]) == Code.PARTS
    assert refused([]) == Code.SIZE


def refused(parts) -> int:
    with pytest.raises(WireError) as caught:
        wire.decode(parts)
    error = caught.value
    assert len(str(error).split("\n")) == 3 and all(str(error).split("\n"))
    answer = wire.decode(wire.encode(wire.refusal(error)))
    assert isinstance(answer, wire.Refused) and answer.code == error.code
    return error.code


@every_row
def test_another_version_is_refused_saying_which_would_work(entry):
    parts = wire.encode(printing.example(entry))
    other = bytes([wire.PROTOCOL_VERSION + 1]) + parts[0][1:]
    if entry.name == "refused":
        assert wire.decode([other, *parts[1:]]) == wire.decode(parts)
        return
    assert refused([other, *parts[1:]]) == Code.VERSION
    with pytest.raises(WireError, match=rf"Version {wire.PROTOCOL_VERSION} works"):
        wire.decode([other, *parts[1:]])


def test_foreign_bytes_and_unknown_types_are_told_apart():
    part = wire.encode(wire.Goodbye())[0]
    assert refused([b"\x01\x00" + part[2:], b""]) == Code.NOT_DESCANT
    assert refused([part[:2] + b"\xff\x7f" + part[4:], b""]) == Code.TYPE
    assert part[1] == MAGIC


@pytest.mark.parametrize("entry", [e for e in wire.ROWS if e.fields], ids=lambda e: e.name)
def test_every_field_outside_its_range_is_refused_by_both_ends(entry):
    message = printing.example(entry)
    for name, kind in entry.fields:
        for bad, code in wrong(kind):
            with pytest.raises(WireError) as caught:
                wire.encode(msgspec.structs.replace(message, **{name: bad}))
            assert caught.value.code == code, (name, bad)


def wrong(kind):
    match kind:
        case Scalar(code="f" | "d"):
            yield from ((x, Code.NOT_FINITE) for x in (float("nan"), float("inf"), -float("inf")))
            yield from ((x, Code.RANGE) for x in (kind.low * 1.1 - 1, kind.high * 1.1 + 1, "1"))
        case Scalar():
            yield from ((x, Code.RANGE) for x in (kind.low - 1, kind.high + 1, 1.5, True, None))
        case Flag():
            yield from ((x, Code.RANGE) for x in (2, "yes"))
        case Choice():
            yield "nothing", Code.RANGE
        case Text():
            yield from ((x, Code.TEXT) for x in ("x" * (kind.high + 1), "a\0b", "\ud800", b"bytes"))
            if kind.low:
                yield "", Code.TEXT
        case Names():
            yield from (((x,), Code.TEXT) for x in ("", "two\nlines", "x" * (kind.high + 1)))
            yield ("x",) * (kind.count + 1), Code.RANGE
        case Samples():
            ok = np.zeros((2, 4), np.float32)
            yield from ((ok + x, Code.NOT_FINITE) for x in (np.float32("nan"), np.float32("inf")))
            yield from ((ok - np.float32(x), Code.RANGE) for x in (2 * MAX_ABS_SAMPLE,))
            yield np.zeros((2, MAX_BLOCK_SAMPLES + 1), np.float32), Code.RANGE
            yield np.zeros((MAX_CHANNELS + 1, 4), np.float32), Code.RANGE
            yield from ((x, Code.RANGE) for x in (ok[:, :0], ok[0], ok.astype(np.float64), [[0.0]]))


@pytest.mark.parametrize(
    ("message", "at", "raw", "code"),
    [
        (wire.NoteOn(0, 60, 100), 24, b"\x10", Code.RANGE),  # MIDI channel 16
        (wire.NoteOn(0, 60, 100), 26, b"\x00", Code.RANGE),  # velocity 0
        (wire.Trigger(0), 26, b"\x02", Code.RANGE),  # no such action
        (wire.Transport(120.0), 24, b"\0\0\0\0\0\0\xf8\x7f", Code.NOT_FINITE),  # NaN bpm
        (wire.Transport(120.0), 42, b"\x02", Code.RANGE),  # neither true nor false
        (wire.Heartbeat(), 24, b"\xff" * 7 + b"\x7f", Code.RANGE),  # a playhead beyond all time
        (wire.Heartbeat(), 16, b"\xff" * 7 + b"\x7f", Code.RANGE),  # an at_sample likewise
    ],
)
def test_bytes_that_mean_nonsense_are_refused(message, at, raw, code):
    parts = wire.encode(message)
    parts[0] = parts[0][:at] + raw + parts[0][at + len(raw) :]
    assert refused(parts) == code


def test_nonsense_in_raw_parts_is_refused():
    head, _ = wire.encode(wire.Prompt(1, "brass"))
    assert refused([head, b"\xff\xfe"]) == Code.TEXT
    assert refused([head, b""]) == Code.TEXT
    assert refused([head, b"x" * 100_000]) == Code.TEXT
    head, wave = wire.encode(wire.Audio(1, np.zeros((2, 8), np.float32)))
    assert refused([head, wave[:-1]]) == Code.SIZE
    assert refused([head, wave + b"\0" * 4]) == Code.SIZE
    assert refused([head, wave[:-4] + np.float32("nan").tobytes()]) == Code.NOT_FINITE
    huge = head[:-4] + b"\xff" * 4
    assert refused([huge, wave]) == Code.RANGE


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_bytes_are_a_message_or_a_typed_error(parts):
    try:
        assert isinstance(wire.decode(parts), wire.Message)
    except WireError as error:
        assert isinstance(error.code, Code)


def test_a_refusal_can_always_be_sent():
    error = WireError(9999, "a\0b\ud800", "", "d" * 9000)
    answer = wire.decode(wire.encode(wire.refusal(error, refers_to=2**32 - 1)))
    assert isinstance(answer, wire.Refused)
    assert (answer.code, answer.what, answer.still, len(answer.do)) == (9999, "a b?", "-", 500)
