"""What is generated from the table: the protocol page, the C header, the golden bytes; is any stale?

Knows nothing about any particular message but its row.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from descant.plugin_bridge import wire
from descant.plugin_bridge.errors import Code
from descant.plugin_bridge.fields import (
    MAX_ABS_SAMPLE,
    MAX_BLOCK_SAMPLES,
    MAX_CHANNELS,
    Choice,
    Flag,
    Kind,
    Names,
    Samples,
    Scalar,
    Text,
)
from descant.plugin_bridge.table import HEADER, HEADER_FIELDS, MAGIC, Message, Row

_MADE = "Made by `python -m descant.plugin_bridge.wire {flag}`; edit plugin_bridge/wire.py instead."


def example(entry: Row, start: int = 1) -> Message:
    """A message of this row whose scalars and texts all differ, byte by byte where ranges allow."""
    count = start

    def value(kind: Kind) -> Any:
        nonlocal count
        count += 1
        match kind:
            case Scalar():
                return _different(kind, count)
            case Choice():
                return kind.names[count % len(kind.names)]
            case Flag():
                return count % 2 == 0
            case Text():
                return f"text {count} é"[: kind.high]
            case Names():
                return (f"name {count}", f"other {count} ♪")
            case Samples():
                return (np.arange(6, dtype=np.float32) + count).reshape(2, 3) / np.float32(16)

    header = {name: value(kind) for name, kind in HEADER_FIELDS}
    return entry.cls(**header, **{name: value(kind) for name, kind in entry.fields})


def _different(kind: Scalar, count: int) -> float | int:
    """A number in range, with as many different bytes as it can hold."""
    width = struct.calcsize(kind.code)
    if kind.code in "fd":
        return float(np.float32(kind.low + (kind.high - kind.low) * (0.3 + 0.01 * count)))
    for used in range(width, 0, -1):
        number = int.from_bytes(bytes((count + 17 * i) % 127 + 1 for i in range(used)), "little")
        if kind.low <= number <= kind.high:
            return number
    return int(kind.low) + count % (int(kind.high) - int(kind.low) + 1)


def golden() -> str:
    """Every row's example in hexadecimal: a name, then a part a line."""
    lines = [f"# {_MADE.format(flag='--golden')}"]
    for entry in wire.ROWS:
        lines += [entry.name, *(f"  {part.hex()}" for part in wire.encode(example(entry)))]
    return "\n".join(lines) + "\n"


def _wire_type(kind: Kind) -> str:
    match kind:
        case Scalar():
            low, high = (f"{x:.15g}" if isinstance(x, float) else str(x) for x in (kind.low, kind.high))
            return f"{_short(kind.c)}, {low} to {high}"
        case Flag():
            return "u8, 0 or 1"
        case Choice():
            return "u8: " + ", ".join(f"{i} {name}" for i, name in enumerate(kind.names))
        case Text():
            return f"part: UTF-8, {kind.low} to {kind.high} characters"
        case Names():
            return f"part: up to {kind.count} names of 1 to {kind.high} characters, one a line"
        case Samples():
            return "channels u8, n_samples u32; part: float32 [channels, n_samples]"


def _short(c: str) -> str:
    return {"float": "f32", "double": "f64"}.get(c, c[0] + c.strip("uint_") if c[0] == "u" else "i" + c[3:-2])


def page() -> str:
    """The protocol page, Markdown."""
    low, high = wire.VERSIONS
    out = [
        "# The wire protocol",
        "",
        f"*{_MADE.format(flag='--page')}*",
        "",
        f"Version {wire.PROTOCOL_VERSION} (this code speaks {low} to {high}).",
        "ZeroMQ: the host binds a ROUTER, each bridge connects a DEALER, over `ipc://` or `tcp://127.0.0.1`;",
        "any other address needs CURVE keys and an allow-list. A message is one or more parts:",
        "",
        f"- Part 0: the header ({HEADER.size} bytes), then the scalars of the fields in the order below,",
        "  packed, little-endian.",
        "- Then one raw part for each text, list of names or audio field, in the order below.",
        f"  Audio is planar float32, full scale 1.0, magnitude up to {MAX_ABS_SAMPLE:g},",
        f"  up to {MAX_CHANNELS} channels of {MAX_BLOCK_SAMPLES} samples.",
        "",
        "The header and `refused` are the same in every version. A host answers each message it cannot take",
        f"with `refused` and goes on. A part longer than {wire.MAX_PART_BYTES} bytes ends the connection.",
        f"Work loops send `heartbeat` every {wire.HEARTBEAT_MS} ms;",
        f"{wire.HEARTBEAT_MISSES} missed are a loss.",
        "A bridge that is refused with code SESSION says hello again, with its old session in the header.",
        "",
        "## Header",
        "",
        "| Field | Type | Meaning |",
        "|---|---|---|",
        f"| version | u16 | {MAGIC:#x} in the high byte, the protocol version in the low byte |",
        "| type | u16 | the message's number |",
        "| session | u64 | 0 before `welcome` |",
        "| sequence | u32 | counts the sender's messages on this connection, wraps |",
        "| at_sample | i64 | when, in samples per channel at the client's rate, within ±2^53 |",
        "",
    ]
    senders = {"bridge": "bridge → host", "host": "host → bridge", "both": "both ways"}
    for entry in wire.ROWS:
        out += [
            f"## {entry.number} {entry.name} ({senders[entry.sender]})",
            "",
            " ".join(entry.doc.split()),
            "",
        ]
        if entry.fields:
            out += ["| Field | Type |", "|---|---|"]
            out += [f"| {name} | {_wire_type(kind)} |" for name, kind in entry.fields]
            out.append("")
    out += ["## Codes of refusals and faults", "", "| Code | Name |", "|---|---|"]
    out += [f"| {code.value} | {code.name} |" for code in Code]
    return "\n".join(out) + "\n"


def header() -> str:
    """wire.h: packed structs and constants, C99 and C++."""
    out = [
        f"/* The wire protocol. {_MADE.format(flag='--header')} */",
        "#ifndef DESCANT_WIRE_H",
        "#define DESCANT_WIRE_H",
        "#include <stdint.h>",
        "",
        f"#define DESCANT_PROTOCOL_VERSION {wire.PROTOCOL_VERSION}",
        f"#define DESCANT_VERSION_FIELD 0x{MAGIC << 8 | wire.PROTOCOL_VERSION:04X}",
        f"#define DESCANT_MAX_PARTS {wire.MAX_PARTS}",
        f"#define DESCANT_MAX_PART_BYTES {wire.MAX_PART_BYTES}",
        f"#define DESCANT_MAX_CHANNELS {MAX_CHANNELS}",
        f"#define DESCANT_MAX_BLOCK_SAMPLES {MAX_BLOCK_SAMPLES}",
        f"#define DESCANT_MAX_ABS_SAMPLE {MAX_ABS_SAMPLE:.1f}f",
        f"#define DESCANT_MAX_PROMPT {wire.MAX_PROMPT}",
        f"#define DESCANT_HEARTBEAT_MS {wire.HEARTBEAT_MS}",
        f"#define DESCANT_HEARTBEAT_MISSES {wire.HEARTBEAT_MISSES}",
        "",
        "enum descant_type {",
        *(f"    DESCANT_{entry.name.upper()} = {entry.number}," for entry in wire.ROWS),
        "};",
        "",
        "enum descant_code {",
        *(f"    DESCANT_CODE_{code.name} = {code.value}," for code in Code),
        "};",
        "",
        "#pragma pack(push, 1)",
        "",
        "/* Before every message. */",
        "struct descant_header {",
        "    uint16_t version;",
        "    uint16_t type;",
        "    uint64_t session;",
        "    uint32_t sequence;",
        "    int64_t at_sample;",
        "};",
        "",
    ]
    for entry in wire.ROWS:
        out += _struct(entry)
    out += ["#pragma pack(pop)", "", "#ifdef __cplusplus"]
    sizes = [("header", HEADER.size), *((e.name, e.packed.size) for e in wire.ROWS if e.packed.size)]
    out += [f'static_assert(sizeof(descant_{name}) == {size}, "packed");' for name, size in sizes]
    return "\n".join([*out, "#endif", "", "#endif"]) + "\n"


def _struct(entry: Row) -> list[str]:
    doc = " ".join(entry.doc.split())
    parts = f" Then {len(entry.parts)} raw part(s): {', '.join(entry.parts)}." if entry.parts else ""
    out = [f"/* {entry.name}, from {entry.sender}. {doc}{parts} */"]
    members: list[str] = []
    for name, kind in entry.fields:
        match kind:
            case Scalar():
                members.append(f"    {kind.c} {name}; /* {kind.low} to {kind.high} */")
            case Flag():
                members.append(f"    uint8_t {name}; /* 0 or 1 */")
            case Choice():
                members.append(f"    uint8_t {name}; /* enum descant_{entry.name}_{name} */")
                items = ", ".join(
                    f"DESCANT_{entry.name}_{name}_{item} = {i}".upper() for i, item in enumerate(kind.names)
                )
                out.append(f"enum descant_{entry.name}_{name} {{ {items} }};")
            case Samples():
                members += ["    uint8_t channels;", "    uint32_t n_samples;"]
    return [*out, f"struct descant_{entry.name} {{", *members, "};", ""] if members else [*out, ""]


_HERE = Path(__file__).resolve().parent
_COMMITTED: tuple[tuple[Path, Callable[[], str]], ...] = (
    (_HERE / "protocol.md", page),
    (_HERE / "native" / "wire.h", header),
    (_HERE.parent / "tests" / "golden" / "wire-v1.txt", golden),
)


def stale() -> list[Path]:
    """The committed generated files that differ from what the table says."""
    return [path for path, make in _COMMITTED if not path.is_file() or path.read_text("utf-8") != make()]


def main(arguments: list[str] | None = None) -> int:
    """`python -m descant.plugin_bridge.wire`: print, write or check; 1 when something is stale."""
    parser = argparse.ArgumentParser(prog="python -m descant.plugin_bridge.wire")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--page", action="store_true", help="print the protocol page (Markdown)")
    group.add_argument("--header", action="store_true", help="print wire.h")
    group.add_argument("--golden", action="store_true", help="print the golden bytes")
    group.add_argument("--write", action="store_true", help="write the committed generated files")
    group.add_argument("--check", action="store_true", help="fail when a committed file is stale")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        for path, make in _COMMITTED:
            path.write_text(make(), "utf-8")
        return 0
    if chosen.check:
        old = stale()
        for path in old:
            print(f"{path} is stale: run python -m descant.plugin_bridge.wire --write", file=sys.stderr)
        return 1 if old else 0
    sys.stdout.write(page() if chosen.page else header() if chosen.header else golden())
    return 0
