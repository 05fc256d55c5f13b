"""The kinds of field a message may have: how each is checked, packed and unpacked.

Knows nothing about which messages exist. A kind's packed scalars stand in the message's first part, in order;
a kind with a raw part adds one part after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from descant.plugin_bridge.errors import Code, WireError

MAX_NOTED = 32_768
"""Characters of the entries of one `noted`."""
MAX_CHANNELS = 8
MAX_BLOCK_SAMPLES = 16384
"""Samples per channel in one raw part; longer audio travels in several messages."""
MAX_ABS_SAMPLE = 64.0
"""Largest magnitude of an audio sample (full scale is 1.0): louder is a broken sender."""

Wave = NDArray[np.float32]

STILL = "The connection and everything already accepted stay as they are; this message was ignored."


def _refuse(code: Code, what: str, do: str) -> NoReturn:
    raise WireError(code, what, STILL, do)


@dataclass(frozen=True)
class Scalar:
    """One number, little-endian. code: `struct` letter; c: its C type; low..high: both allowed."""

    code: str
    c: str
    low: float
    high: float

    raw = False

    @property
    def codes(self) -> str:
        return self.code

    def check(self, name: str, value: Any) -> None:
        """Raise RANGE or NOT_FINITE (TypeError-like misuse is RANGE too)."""
        whole = self.code not in "fd"
        if isinstance(value, bool) or not isinstance(
            value, (int, np.integer) if whole else (int, float, np.number)
        ):
            _refuse(
                Code.RANGE,
                f"{name} is {value!r}, not a {'whole ' if whole else ''}number.",
                self.allowed(name),
            )
        if not whole and not math.isfinite(value):
            _refuse(Code.NOT_FINITE, f"{name} is {value}.", self.allowed(name))
        if not self.low <= value <= self.high:
            _refuse(Code.RANGE, f"{name} is {value}.", self.allowed(name))

    def allowed(self, name: str) -> str:
        return f"Send {name} in {self.low} to {self.high}."


@dataclass(frozen=True)
class Flag:
    """True or false in one byte, 1 or 0."""

    raw = False
    codes = "B"

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, (bool, np.bool_)):
            _refuse(Code.RANGE, f"{name} is {value!r}, neither true nor false.", f"Send {name} as 1 or 0.")


@dataclass(frozen=True)
class Choice:
    """One of a few names, as its index in one byte."""

    names: tuple[str, ...]
    raw = False
    codes = "B"

    def check(self, name: str, value: Any) -> None:
        if value not in self.names:
            _refuse(Code.RANGE, f"{name} is {value!r}.", f"Send {name} as one of {', '.join(self.names)}.")


@dataclass(frozen=True)
class Text:
    """A raw part of UTF-8 text of low..high characters, without NUL."""

    low: int
    high: int
    raw = True
    codes = ""

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            _refuse(Code.TEXT, f"{name} is a {type(value).__name__}, not text.", f"Send {name} as text.")
        if not self.low <= len(value) <= self.high:
            _refuse(
                Code.TEXT,
                f"{name} has {len(value)} characters.",
                f"Send {self.low} to {self.high} characters.",
            )
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            _refuse(
                Code.TEXT, f"{name} holds a NUL or half a character.", f"Send {name} as plain Unicode text."
            )

    def to_part(self, value: str) -> bytes:
        return value.encode()

    def from_part(self, name: str, part: bytes) -> str:
        """Raise TEXT for bytes that are not UTF-8, without making much of a huge part."""
        if len(part) > 4 * self.high:
            _refuse(
                Code.TEXT, f"{name} has {len(part)} bytes.", f"Send {self.low} to {self.high} characters."
            )
        try:
            return part.decode()
        except UnicodeDecodeError:
            _refuse(Code.TEXT, f"{name} is not UTF-8 text.", f"Send {name} as UTF-8.")


@dataclass(frozen=True)
class Names:
    """A raw part of at most `count` names, each of 1..`high` characters, one a line."""

    count: int
    high: int
    raw = True
    codes = ""

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, tuple) or len(value) > self.count:
            _refuse(
                Code.RANGE,
                f"{name} is not a tuple of up to {self.count} names.",
                f"Send at most {self.count}.",
            )
        for item in value:
            Text(1, self.high).check(name, item)
            if "\n" in item:
                _refuse(Code.TEXT, f"{name} has a name of two lines.", "Send one name a line.")

    def to_part(self, value: tuple[str, ...]) -> bytes:
        return "\n".join(value).encode()

    def from_part(self, name: str, part: bytes) -> tuple[str, ...]:
        text = Text(0, self.count * (self.high + 1)).from_part(name, part)
        return tuple(text.split("\n")) if text else ()


@dataclass(frozen=True)
class Samples:
    """Planar float32 audio [C, n]: `channels` u8 and `n_samples` u32 are packed, the samples are a raw
    part.
    """

    raw = True
    codes = "BI"

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype != np.float32:
            _refuse(
                Code.RANGE,
                f"{name} is not a float32 array [channels, samples].",
                "Send planar float32 audio.",
            )
        self.check_shape(name, *value.shape)
        peak = max(float(value.max()), -float(value.min()))  # NaN survives max and min
        if not math.isfinite(peak):
            _refuse(Code.NOT_FINITE, f"{name} holds NaN or infinity.", "Send finite samples, full scale 1.0.")
        if peak > MAX_ABS_SAMPLE:
            _refuse(Code.RANGE, f"{name} peaks at {peak:.3g}.", f"Send samples within ±{MAX_ABS_SAMPLE:g}.")

    def check_shape(self, name: str, channels: int, n_samples: int) -> None:
        if not (1 <= channels <= MAX_CHANNELS and 1 <= n_samples <= MAX_BLOCK_SAMPLES):
            _refuse(
                Code.RANGE,
                f"{name} has {channels} channels of {n_samples} samples.",
                f"Send 1 to {MAX_CHANNELS} channels of 1 to {MAX_BLOCK_SAMPLES} samples.",
            )

    def to_part(self, value: Wave) -> bytes:
        return np.ascontiguousarray(value, dtype="<f4").tobytes()

    def from_shape(self, name: str, part: bytes, channels: int, n_samples: int) -> Wave:
        """The samples as a read-only view of the part."""
        self.check_shape(name, channels, n_samples)
        if len(part) != 4 * channels * n_samples:
            _refuse(
                Code.SIZE,
                f"{name} has {len(part)} bytes for {channels} channels of {n_samples} samples.",
                f"Send {4 * channels * n_samples} bytes.",
            )
        return np.frombuffer(part, dtype="<f4").reshape(channels, n_samples)


Kind = Scalar | Flag | Choice | Text | Names | Samples


def u8(low: int = 0, high: int = 2**8 - 1) -> Scalar:
    return Scalar("B", "uint8_t", low, high)


def u16(low: int = 0, high: int = 2**16 - 1) -> Scalar:
    return Scalar("H", "uint16_t", low, high)


def u32(low: int = 0, high: int = 2**32 - 1) -> Scalar:
    return Scalar("I", "uint32_t", low, high)


def u64() -> Scalar:
    return Scalar("Q", "uint64_t", 0, 2**64 - 1)


def i64(low: int, high: int) -> Scalar:
    return Scalar("q", "int64_t", low, high)


def f32(low: float, high: float) -> Scalar:
    return Scalar("f", "float", low, high)


def f64(low: float, high: float) -> Scalar:
    return Scalar("d", "double", low, high)


MAX_SAMPLE_POSITION = 2**53
"""Sample positions stay exact in a double: 3,000 centuries at 96 kHz."""

Position = Annotated[int, i64(-MAX_SAMPLE_POSITION, MAX_SAMPLE_POSITION)]
Midi = Annotated[int, u8(0, 127)]
MidiChannel = Annotated[int, u8(0, 15)]
Rate = Annotated[int, u32(8000, 384000)]
Channels = Annotated[int, u8(1, MAX_CHANNELS)]
Beats = Annotated[float, f64(-1e9, 1e9)]
Name = Annotated[str, Text(1, 200)]
OptionalName = Annotated[str, Text(0, 200)]
Line = Annotated[str, Text(0, 500)]
"""One of the three lines of a refusal or fault."""
