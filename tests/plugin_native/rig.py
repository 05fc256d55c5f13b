"""The native plugin for tests: built once, its parts as Python objects, its DAW played block by block."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "out" / "plugin-tests"
NEEDED = "g++ make cmake dpf-source cppzmq-dev libzmq3-dev jackd2 jalv g++-mingw-w64-x86-64-posix"

N_COUNTS = ("playhead", "epoch", "underruns", "late", "far", "stale", "fade")
REPORT = (
    *("state", "lead_ms", "losses", "reconnects", "malformed", "overruns"),
    *("unsent", "faults", "underruns", "dropped", "blocks", "bounce"),
    *("recording", "clip"),
)
STEP = (
    *("jumps", "changed", "stopped", "started", "known", "to", "tempo", "beat"),
    *("numerator", "denominator", "playing", "looping", "loop_start", "loop_end"),
)
OFF, LOOKING, LIVE, LOST, REFUSED, OTHER_VERSION, OTHER_MODEL = range(7)
GAIN, TEMPERATURE, GUIDANCE, TOP_K, TOP_P, MELODY, CHORDS, BEAT, PLAY, PRESET, SEED, RUN_ON, PANIC, WAIT = (
    range(14)
)
DRY, ARM, ARM_NOTE, COUNT_IN, TAKE_LAST = range(14, 19)
EVERY, FALL, QUANTISE, TRANSITION, XY, X, Y, BETA = range(19, 27)
NOTE_ON, NOTE_OFF, CONTROL, PROGRAM, TRIGGER, PARAMETER, PRESET_EVENT, TRANSPORT, JUMP, SYNC = range(10)


def build(folder: Path = BUILD, *options: str, target: str = "all") -> Path:
    """Configure and make; what is up to date is left alone. The folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for command in (
        ["cmake", "-S", str(HERE), "-B", str(folder), *options],
        ["cmake", "--build", str(folder), "--target", target, "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return folder


def tool(name: str) -> str:
    """A program a test needs; where it is missing the test fails and says which package has it."""
    found = shutil.which(name)
    assert found, f"{name} is missing: run tools/setup plugin ({NEEDED})"
    return found


def load(folder: Path) -> ctypes.CDLL:
    """The probe library, its functions typed."""
    lib = ctypes.CDLL(str(folder / "rig" / ("libprobe.dylib" if sys.platform == "darwin" else "libprobe.so")))
    pointer, i64, u32, f64, u64 = (
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_uint32,
        ctypes.c_double,
        ctypes.c_uint64,
    )
    song = [u32, i64, f64, f64, u32, u32, f64, f64]
    signatures = {
        "playout_new": (pointer, [u32, f64, i64]),
        "playout_free": (None, [pointer]),
        "playout_place": (i64, [pointer, i64, i64, pointer, u32, i64]),
        "playout_read": (i64, [pointer, pointer, i64]),
        "playout_seek": (None, [pointer, i64]),
        "playout_forget": (None, [pointer]),
        "playout_ahead": (i64, [pointer, i64]),
        "playout_counts": (None, [pointer, pointer]),
        "song_new": (pointer, [f64]),
        "song_free": (None, [pointer]),
        "song_advance": (None, [pointer, i64, i64, *song, pointer]),
        "pack_hello": (
            u32,
            [pointer, u32, u32, ctypes.c_uint8, u32, u32, u64, *[ctypes.c_char_p] * 3, u64, u32],
        ),
        "pack_place": (u32, [pointer, i64, u32, u32, u64, u32]),
        "pack_asked": (u32, [pointer, i64, u32, i64, u64, u32]),
        "pack_leave": (u32, [pointer, ctypes.c_char_p, u64, u32]),
        "pack_offline": (u32, [pointer, ctypes.c_int, i64, u64, u32]),
        "pack_event": (
            u32,
            [pointer, ctypes.c_int, *[ctypes.c_uint8] * 3, i64, f64, pointer, ctypes.c_char_p, u64, u32],
        ),
        "accepts": (ctypes.c_int, [ctypes.c_char_p, pointer, u32]),
        "settings_again": (ctypes.c_int, [ctypes.c_char_p, ctypes.c_char_p, u32]),
        "pack_words": (u32, [pointer, ctypes.c_uint8, ctypes.c_char_p, i64, u64, u32]),
        "file_settings": (None, [ctypes.c_char_p, u32]),
        "host_address": (None, [ctypes.c_char_p, ctypes.c_char_p, u32]),
        "daw_new": (pointer, [f64, u32, u32, u32]),
        "daw_free": (None, [pointer]),
        "daw_activate": (None, [pointer]),
        "daw_deactivate": (None, [pointer]),
        "daw_set": (None, [pointer, u32, ctypes.c_float]),
        "daw_patience": (None, [pointer, f64]),
        "daw_ready": (ctypes.c_int, [pointer, i64]),
        "daw_playhead": (i64, [pointer]),
        "daw_report": (None, [pointer, pointer]),
        "daw_cost": (f64, [pointer, u32, u32]),
        "daw_words": (None, [pointer, ctypes.c_char_p, u32]),
        "daw_settings": (None, [pointer, ctypes.c_char_p]),
        "daw_process": (None, [pointer, pointer, u32, *song, pointer, u32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class NativePlayout:
    """playout.h with the names of PlayoutRing."""

    def __init__(self, lib: ctypes.CDLL, channels: int, rate: int, capacity: int) -> None:
        self._lib, self.channels = lib, channels
        self._ring = lib.playout_new(channels, rate, capacity)

    def place(self, at: int, epoch: int, wave: np.ndarray) -> int:
        wave = np.ascontiguousarray(wave, np.float32)
        return int(
            self._lib.playout_place(self._ring, at, epoch, wave.ctypes.data, wave.shape[0], wave.shape[1])
        )

    def read(self, n: int) -> tuple[np.ndarray, int]:
        out = np.full((self.channels, n), np.nan, np.float32)
        return out, int(self._lib.playout_read(self._ring, out.ctypes.data, n))

    def seek(self, at: int) -> None:
        self._lib.playout_seek(self._ring, at)

    def forget_epochs(self) -> None:
        self._lib.playout_forget(self._ring)

    def ahead(self, limit: int) -> int:
        return int(self._lib.playout_ahead(self._ring, limit))

    def counts(self) -> dict[str, int]:
        counts = np.zeros(len(N_COUNTS), np.int64)
        self._lib.playout_counts(self._ring, counts.ctypes.data)
        return dict(zip(N_COUNTS, map(int, counts), strict=True))

    def __del__(self) -> None:
        self._lib.playout_free(self._ring)


@dataclass(frozen=True)
class Song:
    """What a DAW says of a block; None for what it does not say."""

    playing: bool = True
    frame: int | None = None
    beat: float | None = None
    tempo: float = 120.0
    metre: tuple[int, int] = (4, 4)
    loop: tuple[float, float] | None = None
    tells_loop: bool = False
    known: bool = True
    offline: bool = False

    def arguments(self) -> tuple:
        flags = (
            self.known
            + 2 * self.playing
            + 4 * (self.frame is not None)
            + 8 * (self.beat is not None)
            + 16 * (self.tells_loop or self.loop is not None)
            + 32 * (self.loop is not None)
            + 64 * self.offline
        )
        start, end = self.loop or (0.0, 0.0)
        return flags, self.frame or 0, self.beat or 0.0, self.tempo, *self.metre, start, end


NOWHERE = Song(known=False)


class NativeSong:
    """song.h: `advance` gives a step as a dictionary."""

    def __init__(self, lib: ctypes.CDLL, rate: float) -> None:
        self._lib, self._clock = lib, lib.song_new(rate)

    def advance(self, at: int, n: int, song: Song) -> dict[str, float]:
        out = np.zeros(len(STEP))
        self._lib.song_advance(self._clock, at, n, *song.arguments(), out.ctypes.data)
        return dict(zip(STEP, map(float, out), strict=True))

    def __del__(self) -> None:
        self._lib.song_free(self._clock)


class NativeDaw:
    """The whole core as a DAW drives it; the host is where DESCANT_ENDPOINT says."""

    def __init__(
        self,
        lib: ctypes.CDLL,
        endpoint: str,
        rate: float = 48000,
        block: int = 256,
        channels: int = 2,
        inputs: int = 0,
    ) -> None:
        self._lib, self.rate, self.channels = lib, rate, channels
        os.environ["DESCANT_ENDPOINT"] = endpoint
        self._daw = lib.daw_new(rate, block, channels, inputs)
        lib.daw_activate(self._daw)

    def process(
        self,
        n: int,
        song: Song = NOWHERE,
        midi: list[tuple[int, bytes]] | None = None,
        given: np.ndarray | None = None,
    ) -> np.ndarray:
        """A block: [channels, n]. midi: (offset, bytes)."""
        out = np.full((self.channels, n), np.nan, np.float32)
        if given is not None:
            out[:] = given
        rows = np.array(
            [[offset, len(data), *data.ljust(3, b"\0")] for offset, data in midi or []], np.uint32
        ).reshape(-1, 5)
        self._lib.daw_process(
            self._daw, out.ctypes.data, n, *song.arguments(), rows.ctypes.data, len(midi or [])
        )
        return out

    def cost(self, blocks: int, n: int) -> float:
        """Nanoseconds of processor a block, over so many blocks of n samples."""
        return float(self._lib.daw_cost(self._daw, blocks, n))

    def set(self, index: int, value: float) -> None:
        self._lib.daw_set(self._daw, index, value)

    def patience(self, seconds: float) -> None:
        self._lib.daw_patience(self._daw, seconds)

    def ready(self, n: int) -> bool:
        return bool(self._lib.daw_ready(self._daw, n))

    def settings(self, text: bytes) -> None:
        self._lib.daw_settings(self._daw, text)

    def words(self) -> str:
        buffer = ctypes.create_string_buffer(4096)
        self._lib.daw_words(self._daw, buffer, 4096)
        return buffer.value.decode()

    @property
    def playhead(self) -> int:
        return int(self._lib.daw_playhead(self._daw))

    @property
    def report(self) -> dict[str, float]:
        out = np.zeros(len(REPORT))
        self._lib.daw_report(self._daw, out.ctypes.data)
        return dict(zip(REPORT, map(float, out), strict=True))

    def deactivate(self) -> None:
        self._lib.daw_deactivate(self._daw)

    def activate(self) -> None:
        self._lib.daw_activate(self._daw)

    def close(self) -> None:
        if self._daw:
            self._lib.daw_deactivate(self._daw)
            self._lib.daw_free(self._daw)
            self._daw = None
