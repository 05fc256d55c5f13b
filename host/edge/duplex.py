"""A device opened for both directions: found by name, at the rate of the timeline or resampled to and from
it.

Thread: main of the audio process, the callback excepted.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from descant.host.edge.audio_tick import MAX_BLOCK, Tick
from descant.host.edge.audio_words import AudioOrder

Wave = npt.NDArray[np.float32]
_CHUNK = 128  # samples of the timeline that are made at once while resampling
_CORRECTED_EVERY = 64  # callbacks
_GAIN = 0.05  # of what is measured to be wrong, how much is put right at once
_MOST = 0.005  # a clock is never further off than that


class NoDevice(Exception):
    """No device that was asked for can be opened; str() says why."""


class Duplex:
    """An open stream that calls the tick. device_rate: Hz it runs at. name: the device's. inputs: channels
    that are heard. latency: seconds from output to input, as the device reports it.
    """

    def __init__(
        self, order: AudioOrder, tick: Tick, index: int, name: str, rate: int, ins: int, outs: int
    ) -> None:
        import sounddevice

        self.name, self.device_rate = name, rate
        self._tick, self._memory = tick, tick.memory
        channels = tick.memory.layout.channels
        self._first_in, n_in = order.inputs
        self._first_out, n_out = order.outputs
        self._n_in, self._n_out = (
            min(n_in, max(0, ins - self._first_in)),
            min(n_out, max(0, outs - self._first_out)),
        )
        if self._n_out < 1:
            raise NoDevice(f"{name} has no output {self._first_out + 1}")
        self._heard: Wave = np.zeros((channels, MAX_BLOCK), np.float32)
        self._out: Wave = np.zeros((channels, MAX_BLOCK), np.float32)
        self._rates = _Rates(tick, channels, rate) if rate != tick.looper.rate else None
        wide_in, wide_out = self._first_in + self._n_in, self._first_out + self._n_out
        kind: Any = sounddevice.Stream if self._n_in else sounddevice.OutputStream
        self._stream = kind(
            samplerate=rate,
            blocksize=order.block,
            device=(index, index) if self._n_in else index,
            channels=(wide_in, wide_out) if self._n_in else wide_out,
            dtype="float32",
            callback=self._duplex if self._n_in else self._output,
        )

        self.inputs = self._n_in
        told = self._stream.latency
        self.latency = float(sum(told)) if isinstance(told, tuple) else float(told)

    @classmethod
    def found(cls, order: AudioOrder, tick: Tick) -> Duplex:
        """The first device of the order that opens. Raises NoDevice naming the last reason."""
        try:
            seen_before = "sounddevice" in sys.modules
            import sounddevice

            if seen_before:  # what was plugged in since, or a server that came later, is only seen afresh
                sounddevice._terminate()
                sounddevice._initialize()
            devices = list(sounddevice.query_devices())
            default = sounddevice.default.device[1]
        except Exception as error:  # a missing library is OSError, a broken one anything
            raise NoDevice(f"PortAudio does not work here ({error})") from error
        why = "no audio device is there"
        wanted = order.devices or ("",)
        for name in wanted:
            matches = [
                index
                for index, device in enumerate(devices)
                if (index == default if not name else name.lower() in str(device["name"]).lower())
                and device["max_output_channels"] > 0
            ]
            if not matches:
                why = f"no audio device is called {name!r}" if name else why
            for index in sorted(matches, key=lambda index: -devices[index]["max_input_channels"]):
                device = devices[index]
                for rate in dict.fromkeys((tick.looper.rate, round(device["default_samplerate"]))):
                    ins, outs = device["max_input_channels"], device["max_output_channels"]
                    try:
                        return cls(order, tick, index, str(device["name"]), rate, ins, outs)
                    except NoDevice:
                        raise
                    except Exception as error:  # PortAudioError: busy, gone, or not at this rate
                        why = f"{device['name']} cannot be opened ({error})"
        raise NoDevice(why)

    def start(self) -> None:
        self._tick.anew()
        self._memory.sounding = 1
        self._stream.start()

    def close(self) -> None:
        self._memory.sounding = 0
        self._stream.close()

    def _output(self, out: Wave, n: int, time_info: Any, status: Any) -> None:
        """Thread: audio."""
        self._heard[:, :n] = 0.0
        self._block(out, n, status)

    def _duplex(self, heard: Wave, out: Wave, n: int, time_info: Any, status: Any) -> None:
        """Thread: audio."""
        first, count = self._first_in, self._n_in
        if count == 1:  # a mono microphone is in the middle
            self._heard[:, :n] = heard[:, first]
        else:
            n_channels = min(count, len(self._heard))
            self._heard[:n_channels, :n] = heard[:, first : first + n_channels].T
        self._block(out, n, status)

    def _block(self, out: Wave, n: int, status: Any) -> None:
        """Thread: audio."""
        if status:
            self._memory.xruns += 1
        heard, made = self._heard[:, :n], self._out[:, :n]
        if self._rates is None:
            self._tick.block(heard, made)
        else:
            self._rates.block(heard, made)
        out[:] = 0.0
        first, count = self._first_out, self._n_out
        if count == 1:
            out[:, first] = made.mean(axis=0)
        else:
            count = min(count, len(made))
            out[:, first : first + count] = made[:count].T


class _Rates:
    """Between a device at one rate and a timeline at another, following how fast the device really runs."""

    def __init__(self, tick: Tick, channels: int, rate: int) -> None:
        self._tick, self._rate = tick, rate
        host = tick.looper.rate
        self._in = soxr.ResampleStream(rate, host, channels, "float32", "HQ", vr=True)
        self._out = soxr.ResampleStream(host, rate, channels, "float32", "HQ", vr=True)
        self._heard: Wave = np.zeros((channels, 8 * _CHUNK), np.float32)  # resampled, not yet ticked
        self._ready: Wave = np.zeros((0, channels), np.float32)  # resampled, not yet played
        self._block: Wave = np.zeros((channels, _CHUNK), np.float32)
        self._count = 0
        self._stretch = 1.0  # how much faster than it says the device runs

    def block(self, heard: Wave, out: Wave) -> None:
        """Thread: audio. [C, n] at the device's rate, in and out."""
        n = out.shape[1]
        came = self._in.resample_chunk(np.ascontiguousarray(heard.T)).T
        self._heard = np.concatenate((self._heard, came), axis=1)[:, -MAX_BLOCK:]
        while len(self._ready) < n:
            chunk = self._heard[:, :_CHUNK]
            if chunk.shape[1] < _CHUNK:
                chunk = np.pad(chunk, ((0, 0), (0, _CHUNK - chunk.shape[1])))
            self._tick.block(chunk, self._block)
            self._heard = self._heard[:, _CHUNK:]
            made = self._out.resample_chunk(np.ascontiguousarray(self._block.T))
            self._ready = np.concatenate((self._ready, made))
        out[:] = self._ready[:n].T
        self._ready = self._ready[n:]
        self._count += 1
        if self._count % _CORRECTED_EVERY == 0 and self._tick.fit.settled:
            self._correct()

    def _correct(self) -> None:
        """The timeline goes by the host's clock: of a device that runs fast it is given more samples a
        second.
        """
        host = self._tick.looper.rate
        self._stretch *= 1 + _GAIN * (self._tick.fit.rate / host - 1)
        self._stretch = min(max(self._stretch, 1 - _MOST), 1 + _MOST)
        device = self._rate * self._stretch
        self._in.set_io_ratio(device, host, MAX_BLOCK)
        self._out.set_io_ratio(host, device, MAX_BLOCK)
