"""The plugin's messages are the table's, refused like the table's; its settings; where its host is."""

from __future__ import annotations

import ctypes
import random
import struct

import numpy as np
import pytest

from descant.host.edge import settings as host_settings
from descant.plugin_bridge import wire
from descant.plugin_bridge.printing import example
from tests.plugin_native.rig import (
    CONTROL,
    HERE,
    NOTE_OFF,
    NOTE_ON,
    PARAMETER,
    PRESET_EVENT,
    PROGRAM,
    TRANSPORT,
    TRIGGER,
)

SESSION, SEQUENCE, AT = 0x1122334455667788, 0xA1B2C3D4, 123456789012


def parts_of(call, *arguments) -> list[bytes]:
    buffer = (ctypes.c_uint8 * 65536)()
    size = call(buffer, *arguments)
    data, parts = bytes(buffer[:size]), []
    while data:
        (length,) = struct.unpack_from("<I", data)
        parts.append(data[4 : 4 + length])
        data = data[4 + length :]
    return parts


def event(lib, kind, channel=0, number=0, value=0, amount=0.0, transport=None, name=b"") -> list[bytes]:
    row = None if transport is None else np.array(transport, np.float64)
    return parts_of(
        lib.pack_event,
        *(kind, channel, number, value, AT, amount, None if row is None else row.ctypes.data, name),
        *(SESSION, SEQUENCE),
    )


def test_every_message_a_plugin_sends_is_the_one_the_table_packs(lib):
    head = {"session": SESSION, "sequence": SEQUENCE}
    hello = wire.Hello(96000, 77, 2, "who é", "m", "p", 11, 12, 2**63 + 5, **head)
    text = (b"who \xc3\xa9", b"m", b"p")
    packed = [
        (hello, parts_of(lib.pack_hello, 96000, 77, 2, 11, 12, 2**63 + 5, *text, SESSION, SEQUENCE)),
        (
            wire.Heartbeat(AT, 5, 6, at_sample=AT, **head),
            parts_of(lib.pack_place, AT, 5, 6, SESSION, SEQUENCE),
        ),
        (
            wire.Sync(AT, 5, AT + 6, at_sample=AT, **head),
            parts_of(lib.pack_asked, AT, 5, AT + 6, SESSION, SEQUENCE),
        ),
        (
            wire.KeyPrompt(61, "slow é", at_sample=AT, **head),
            parts_of(lib.pack_words, 61, b"slow \xc3\xa9", AT, SESSION, SEQUENCE),
        ),
        (wire.Goodbye("why", **head), parts_of(lib.pack_leave, b"why", SESSION, SEQUENCE)),
        (
            wire.Mode("offline", at_sample=AT, **head),
            parts_of(lib.pack_offline, 1, AT, SESSION, SEQUENCE),
        ),
        (wire.NoteOn(3, 60, 101, at_sample=AT, **head), event(lib, NOTE_ON, 3, 60, 101)),
        (wire.NoteOff(4, 61, 7, at_sample=AT, **head), event(lib, NOTE_OFF, 4, 61, 7)),
        (wire.Control(5, 74, 99, at_sample=AT, **head), event(lib, CONTROL, 5, 74, 99)),
        (wire.Program(6, 88, at_sample=AT, **head), event(lib, PROGRAM, 6, 88)),
        (wire.Trigger(9, 127, "press", at_sample=AT, **head), event(lib, TRIGGER, 0, 9, 127)),
        (
            wire.Parameter("guidance", 2.5, at_sample=AT, **head),
            event(lib, PARAMETER, amount=2.5, name=b"guidance"),
        ),
        (wire.Preset("daybreak", at_sample=AT, **head), event(lib, PRESET_EVENT, name=b"daybreak")),
        (
            wire.Transport(133.5, 17.25, 7, 8, True, 4.0, 12.0, True, at_sample=AT, **head),
            event(lib, TRANSPORT, transport=(133.5, 17.25, 7, 8, 1, 4.0, 12.0, 1)),
        ),
    ]
    for message, parts in packed:
        assert parts == wire.encode(message), message
        assert wire.decode(parts) == message


def accepts(lib, parts: list[bytes]) -> bool:
    sizes = (ctypes.c_uint32 * len(parts))(*map(len, parts))
    return bool(lib.accepts(b"".join(parts), sizes, len(parts)))


def of_host() -> list:
    return [row for row in wire.ROWS if row.sender in ("host", "both")]


@pytest.mark.parametrize("row", of_host(), ids=lambda row: row.name)
def test_what_a_host_sends_is_taken_and_its_mutations_never_more_than_the_table_takes(lib, row):
    parts = wire.encode(example(row))
    assert accepts(lib, parts)
    rng = random.Random(row.number)
    for _ in range(400):
        changed = [bytearray(part) for part in parts]
        part = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0 if changed[part]:
                changed[part][rng.randrange(len(changed[part]))] = rng.randrange(256)
            case 1:
                changed[part] = changed[part][: rng.randrange(len(changed[part]) + 1)]
            case 2:
                changed.append(bytearray(b"x"))
            case _:
                changed[part] += bytes([rng.randrange(256)])
        mutated = [bytes(part) for part in changed]
        try:
            wire.decode(mutated)
            welcome = True
        except wire.WireError:
            welcome = False
        if accepts(lib, mutated) and not welcome:
            # Numbers it never uses may be out of their range; sizes, texts and audio may not.
            code = _code(mutated)
            assert code == wire.Code.RANGE and row.name not in ("audio",), (row.name, code)


def _code(parts: list[bytes]) -> int:
    try:
        wire.decode(parts)
    except wire.WireError as error:
        return error.code
    raise AssertionError


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 65.0, -64.5])
def test_audio_that_would_hurt_is_refused(lib, value):
    wave = np.zeros((2, 100), np.float32)
    parts = wire.encode(wire.Audio(0, wave))
    assert accepts(lib, parts)
    wave[1, 99] = value
    assert not accepts(lib, [parts[0], wave.tobytes()])
    assert not accepts(lib, [parts[0], wave.tobytes()[:-4]])


def test_the_committed_header_is_the_tables(lib):
    from descant.plugin_bridge import printing

    header = (printing._HERE / "native" / "wire.h").read_text("utf-8")
    assert header == printing.header(), "run python -m descant.plugin_bridge.wire --write"


GOOD = b"descant-plugin 2\nendpoint=ipc:///tmp/x\npreset=daybreak\nmodel=\nweights=abc\n"
STATES = HERE / "states"


def again(lib, text: bytes) -> tuple[bool, bytes]:
    buffer = ctypes.create_string_buffer(2**20)
    return bool(lib.settings_again(text, buffer, 2**20)), buffer.value


def test_settings_come_back_byte_for_byte(lib):
    assert again(lib, GOOD) == (True, GOOD)
    fresh = b"descant-plugin 2\nendpoint=\npreset=\nmodel=\nweights=\n"
    assert again(lib, b"") == (True, fresh)
    assert again(lib, fresh) == (True, fresh)
    assert again(lib, GOOD.replace(b"daybreak", "Tagesanbrüche ♪".encode()))[0]
    kept = (STATES / "v2.txt").read_bytes()
    assert again(lib, kept) == (True, kept)


def test_the_words_of_every_key_come_back_byte_for_byte(lib):
    words = ["x" * 2000, "ö" * 2000, "a=b", " spaces ", "#"]
    full = GOOD + b"".join(f"key.{key}={words[key % 5][: 2000 - key]}\n".encode() for key in range(128))
    assert again(lib, full) == (True, full)


def test_a_project_of_the_first_version_opens(lib):
    old = (STATES / "v1.txt").read_bytes()
    assert again(lib, old) == (True, old.replace(b"plugin 1", b"plugin 2"))


def test_a_new_project_begins_with_the_words_of_the_users_file(lib, nowhere):
    file = nowhere / "config" / "descant" / "plugin.toml"
    file.write_text('endpoint = "ipc:///file"\nkey.60 = "warm strings" # c\nkey.128 = "no"\nkey.x = "no"\n')
    buffer = ctypes.create_string_buffer(1024)
    lib.file_settings(buffer, 1024)
    assert buffer.value.endswith(b"weights=\nkey.60=warm strings\n")


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"descant-plugin 3\n",
        GOOD + b"key.128=no such key\n",
        GOOD + b"key.07=not as it is written\n",
        GOOD + b"key.7=one\nkey.7=two\n",
        GOOD + b"key.7=\n",
        GOOD + b"key.7=" + b"x" * 2001 + b"\n",
        GOOD.replace(b"plugin 2", b"plugin 1") + b"key.7=newer than it says\n",
        GOOD.replace(b"descant", b"other"),
        GOOD + b"more=1\n",
        GOOD + b"nonsense\n",
        GOOD.replace(b"ipc:///tmp/x", b"http://x"),
        GOOD.replace(b"daybreak", b"\xc3"),
        GOOD.replace(b"daybreak", b"d\x01"),
        GOOD.replace(b"daybreak", b"d" * 201),
        GOOD * 200,
        random.Random(1).randbytes(2**20).replace(b"\0", b"x"),
    ],
    ids=range(17),
)
def test_foreign_settings_are_refused_and_change_nothing(lib, text):
    read, now = again(lib, text)
    assert not read
    assert now == b"descant-plugin 2\nendpoint=\npreset=\nmodel=\nweights=\n"


def address(lib, saved: bytes = b"") -> str:
    buffer = ctypes.create_string_buffer(1024)
    lib.host_address(saved, buffer, 1024)
    return buffer.value.decode()


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("DESCANT_ENDPOINT", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "descant").mkdir(parents=True)
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "no"))  # where another host may be
    return tmp_path


def test_the_host_is_found_where_it_listens_by_default(lib, nowhere):
    endpoint = host_settings.default_endpoint()
    assert address(lib) == endpoint


def test_environment_before_project_before_file_before_default(lib, nowhere, monkeypatch):
    file = nowhere / "config" / "descant" / "plugin.toml"
    file.write_text('# where\nendpoint = "ipc:///file"  # so\n')
    assert address(lib) == "ipc:///file"
    assert address(lib, b"ipc:///project") == "ipc:///project"
    monkeypatch.setenv("DESCANT_ENDPOINT", "tcp://127.0.0.1:5000")
    assert address(lib, b"ipc:///project") == "tcp://127.0.0.1:5000"


def test_other_machines_need_keys(lib, nowhere):
    assert address(lib, b"tcp://192.168.1.2:5000") == ""
    file = nowhere / "config" / "descant" / "plugin.toml"
    keys = "".join(f'{name} = "{"k" * 40}"\n' for name in ("host_key", "public_key", "secret_key"))
    file.write_text(f'endpoint = "tcp://192.168.1.2:5000"\n{keys}')
    assert address(lib) == "tcp://192.168.1.2:5000"
