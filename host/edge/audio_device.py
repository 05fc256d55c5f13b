"""An audio device that plays what it is given, and what devices there are.

Two activities: the caller, which writes blocks and may wait; PortAudio's callback, which copies and returns.
Between them is a ring of fixed size. The callback is the only one to move `_read`, the caller the only one
to move `_written`; an empty ring plays silence and counts an underrun. If the callback stops coming (a
device unplugged, an audio server
that died: neither is reported), `write` notices by its deadline and says so; nobody ever waits for a dead
device.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DeviceInfo:
    """One audio device. sample_rate: its default, Hz. inputs, outputs: channels."""

    index: int
    name: str
    interface: str
    inputs: int
    outputs: int
    sample_rate: int
    default_input: bool
    default_output: bool


def list_devices() -> list[DeviceInfo]:
    """Thread: any but audio. The devices PortAudio sees, none where PortAudio itself is missing."""
    try:
        import sounddevice

        devices = sounddevice.query_devices()
        interfaces = sounddevice.query_hostapis()
        default_in, default_out = sounddevice.default.device
    except Exception:  # a missing library is OSError, a broken one anything; neither may stop a host
        return []
    return [
        DeviceInfo(
            index=index,
            name=str(device["name"]),
            interface=str(interfaces[device["hostapi"]]["name"]),
            inputs=int(device["max_input_channels"]),
            outputs=int(device["max_output_channels"]),
            sample_rate=round(device["default_samplerate"]),
            default_input=index == default_in,
            default_output=index == default_out,
        )
        for index, device in enumerate(devices)
    ]


class OutputRing:
    """A ring of samples between one writer and one reader.

    Writer: `free`, `write`. Reader: `read`, which zero-fills what is missing, counts it and returns False.
    Neither waits, allocates nor locks; positions only grow, so their difference is the fill.
    """

    def __init__(self, channels: int, n_samples: int) -> None:
        self._ring: Wave = np.zeros((n_samples, channels), np.float32)
        self._size = n_samples
        self._written = 0
        self._read = 0
        self.underruns = 0

    @property
    def played(self) -> int:
        """Samples the reader has taken."""
        return self._read

    @property
    def free(self) -> int:
        """Samples that can be written now."""
        return self._size - (self._written - self._read)

    def write(self, block: Wave) -> None:
        """Thread: caller. Append [T, C]; T must not exceed `free`."""
        n = block.shape[0]
        if n > self.free:
            raise ValueError(f"{n} samples written to a ring with room for {self.free}")
        at = self._written % self._size
        first = min(n, self._size - at)
        self._ring[at : at + first] = block[:first]
        self._ring[: n - first] = block[first:]
        self._written += n

    def read(self, out: Wave) -> bool:
        """Thread: audio. Fill [T, C]; False when part of it had to be silence."""
        n = min(out.shape[0], self._written - self._read)
        at = self._read % self._size
        first = min(n, self._size - at)
        out[:first] = self._ring[at : at + first]
        out[first:n] = self._ring[: n - first]
        out[n:] = 0.0
        self._read += n
        if n < out.shape[0] and self._written > 0:
            self.underruns += 1
            return False
        return True


class AudioOutput:
    """The default output device (or one by index or name), playing what is written to it.

    Thread: any but audio, one at a time. Use as a context manager.
    """

    def __init__(
        self, sample_rate: int, channels: int, device: int | str | None = None, ahead_seconds: float = 0.1
    ) -> None:
        import sounddevice

        self.ring = OutputRing(channels, max(1024, int(ahead_seconds * sample_rate)))
        self.alive = True
        self._sample_rate = sample_rate
        ring = self.ring

        def callback(out: Wave, n_samples: int, time_info: Any, status: Any) -> None:
            ring.read(out)

        self._stream = sounddevice.OutputStream(
            samplerate=sample_rate, channels=channels, dtype="float32", device=device, callback=callback
        )

    def __enter__(self) -> AudioOutput:
        self._stream.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.alive:  # closing the stream of a dead audio server can hang for many seconds
            self._stream.close()

    def write(self, wave: Wave, patience: float = 1.0) -> bool:
        """Play [C, T], waiting for room. False, and `alive` False from then on, when the device takes
        nothing for `patience` seconds: then the caller goes on without it."""
        block = np.ascontiguousarray(wave.T, np.float32)
        deadline = time.monotonic() + patience
        while self.alive and block.shape[0]:
            n = min(self.ring.free, block.shape[0])
            if n:
                self.ring.write(block[:n])
                block = block[n:]
                deadline = time.monotonic() + patience
            elif time.monotonic() > deadline:
                self.alive = False
            else:
                time.sleep(0.002)
        return self.alive


def open_output(sample_rate: int, channels: int, device: int | str | None = None) -> AudioOutput | None:
    """Thread: any but audio. An output, or None where no device can play this: a performance needs none."""
    if device is None and not any(info.outputs >= channels for info in list_devices()):
        return None
    try:
        return AudioOutput(sample_rate, channels, device)
    except Exception:  # PortAudioError, OSError, ValueError: whatever it is, there is no device
        return None
