"""Sound files in and out: what is read is checked and bounded, what is written is as the system took it.

Knows nothing about models or sessions. Samples are float32, [C, T], -1..1, at the file's own rate.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from descant.host.edge.whole import check_writable, reason, whole_file
from descant.host.errors import HostError

Wave = npt.NDArray[np.float32]

MAX_SECONDS = 600.0  # the longest clip anything here has a use for; a 3-hour file is refused from its header
WAV = ".wav"  # what is written, and the only ending a name for it may have
RATES = (8_000, 384_000)  # Hz, what the wire and a session take
MAX_BYTES = 2**31  # a file larger than this is no clip
_SILENT = 1e-4  # -80 dBFS: below it there is nothing to follow
_CLIPPED = 0.9999
_NOTHING = "Nothing was changed and nothing was written."
_SOUND_FILES = "Give a WAV, FLAC, OGG or AIFF file"


@dataclass(frozen=True)
class Clip:
    """A sound file read whole.

    wave: [C, T] float32. sample_rate: Hz. warnings: what the user should know though the clip is usable.
    """

    wave: Wave
    sample_rate: int
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return float(self.wave.shape[1]) / self.sample_rate


def read_wav(path: Path, max_seconds: float = MAX_SECONDS) -> Clip:
    """Thread: any but audio. Read a sound file that is to be listened to by the model.

    Raises HostError for a missing, unreadable, empty, silent or too long file and for NaN or infinity in it;
    clipping is accepted with a warning. The length is judged from the header before any sample is read, and
    again on what was read, since a header can lie.
    """
    import soundfile

    size = _stat(path)
    if size == 0:
        raise HostError(
            f"{path} is an empty file.", _NOTHING, f"{_SOUND_FILES} with at least 0.1 s of sound."
        )
    if size > MAX_BYTES:
        raise _too_long(path, f"{size / 2**30:.1f} GiB", max_seconds)
    try:
        with soundfile.SoundFile(path) as file:
            rate, length = int(file.samplerate), int(file.frames)
            if not RATES[0] <= rate <= RATES[1]:
                raise HostError(
                    f"{path} says its sample rate is {rate} Hz; allowed: {RATES[0]}..{RATES[1]} Hz.",
                    _NOTHING,
                    "Save it again at 44100 or 48000 Hz.",
                )
            if length > max_seconds * rate:
                raise _too_long(path, _spoken(length / rate), max_seconds)
            data = file.read(int(max_seconds * rate) + 1, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        why = str(getattr(error, "error_string", "") or error).strip().rstrip(".") or "no reason given"
        raise HostError(
            f"{path} is not a sound file that can be read: {why}.", _NOTHING, _SOUND_FILES + "."
        ) from error
    except (OSError, RuntimeError) as error:
        raise HostError(
            f"{path} could not be read: {reason(error)}.", _NOTHING, _SOUND_FILES + "."
        ) from error
    if data.shape[0] > max_seconds * rate:
        raise _too_long(path, f"more than {_spoken(max_seconds)}", max_seconds)
    return _checked(path, np.ascontiguousarray(data.T), rate)


def _checked(path: Path, wave: Wave, rate: int) -> Clip:
    if wave.shape[1] < rate // 10:
        raise HostError(
            f"{path} holds {wave.shape[1]} samples ({wave.shape[1] / rate:.3f} s); at least 0.1 s is needed.",
            _NOTHING,
            "Record it again, a bar or two long.",
        )
    bad = int(np.count_nonzero(~np.isfinite(wave)))
    if bad:
        raise HostError(
            f"{path} holds {bad} samples that are not numbers (NaN or infinite).",
            _NOTHING,
            "Export it again from the program that made it, as 16- or 24-bit WAV.",
        )
    peak = float(np.abs(wave).max())
    if peak < _SILENT:
        level = f"peak {20 * np.log10(peak):.0f} dBFS" if peak > 0 else "every sample is 0"
        raise HostError(
            f"{path} is silent ({level}).",
            _NOTHING,
            "Check which input was recorded and its gain, then record again.",
        )
    warnings: tuple[str, ...] = ()
    clipped = float(np.mean(np.abs(wave) >= _CLIPPED))
    if peak > 1.0 or clipped > 0.001:
        warnings = (
            f"{path} is clipped ({100 * clipped:.1f} % of its samples); its melody may be read less well.",
        )
    return Clip(wave, rate, warnings)


def write_wav(path: Path, wave: Wave, sample_rate: int) -> None:
    """Thread: any but audio. Write [C, T] float32 as 24-bit WAV (32-bit float where a sample exceeds full
    scale).

    Raises HostError when it cannot be written; then the file at `path` is what it was before.
    """
    with whole_file(path) as part:
        sound_to(part, wave, sample_rate)


def sound_to(part: Path, wave: Wave, sample_rate: int) -> None:
    """Thread: any but audio. Fill the file at `part` as write_wav does. Raises OSError with the system's own
    reason, where that was one."""
    import soundfile

    subtype = "FLOAT" if wave.size and float(np.abs(wave).max()) > 1.0 else "PCM_24"
    with part.open("w+b", buffering=0) as file:
        disk = _Disk(file)
        try:
            soundfile.write(disk, wave.T, sample_rate, subtype=subtype, format="WAV")
        except (soundfile.SoundFileError, RuntimeError, AssertionError) as error:
            raise disk.error or OSError(str(error).strip() or "no reason given") from error
        if disk.error is not None:
            raise disk.error


class _Disk:
    """A file for libsndfile, which itself would not say why a write has failed.

    error: why, if one has.
    """

    def __init__(self, file: FileIO) -> None:
        self.error: OSError | None = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read
        self._write = file.write

    def write(self, data: bytes) -> int:
        """How much was written: all of it, unless there is an error."""
        done = 0
        try:
            while done < len(data):
                done += self._write(data[done:])
        except OSError as error:  # raised here it would be lost in the library that calls
            self.error = error
        return done


def check_sound_file(path: Path) -> None:
    """Thread: any but audio. `check_writable`, and HostError for a name that promises another format than
    the WAV that is written."""
    check_writable(path)
    if path.suffix.lower() != WAV:
        named = f"the ending {path.suffix!r}" if path.suffix else "no ending"
        raise HostError(
            f"{path} has {named}; allowed: {WAV}.",
            "Nothing was written; a file of that name is as it was before.",
            f"Name a {WAV} file, and convert it afterwards where another format is wanted.",
        )


def _stat(path: Path) -> int:
    """Size in bytes of a regular file, or HostError."""
    try:
        if path.is_dir():
            raise HostError(f"{path} is a folder.", _NOTHING, f"{_SOUND_FILES}, not a folder.")
        if path.exists() and not path.is_file():
            raise HostError(f"{path} is not a regular file.", _NOTHING, f"{_SOUND_FILES} on disk.")
        with path.open("rb") as file:  # the system's own word on who may read it
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise HostError(
            f"{path} could not be opened: {reason(error)}.",
            _NOTHING,
            "Check the name and that you may read the file.",
        ) from error


def _too_long(path: Path, length: str, max_seconds: float) -> HostError:
    return HostError(
        f"{path} is {length} long; at most {_spoken(max_seconds)} is read.",
        _NOTHING,
        "Cut out the bars that matter, a few seconds are enough.",
    )


def _spoken(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
