"""`descant devices --round-trip`: plays a sweep, finds it in the input, and keeps how long it took.

Thread: main.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from descant.host.edge.audio_server import AudioServer
from descant.host.edge.round_trips import Measured, keep_round_trip
from descant.host.errors import DeviceError
from descant.host.round_trip import probe, round_trip

PATIENCE = 40.0  # for a device
TRIES = 6
LONGEST_SECONDS = 0.75  # of a way there and back that is looked for
_NOTHING = "Nothing was kept; recordings are moved back by what the device reports."


def run(device: str, rate: int, block: int) -> None:
    """Measure, print and keep. Raises DeviceError where there is no device, or nothing comes back."""
    with AudioServer(
        rate, 2, devices=(device,) if device else (), block=block, slots=1, pool_seconds=1
    ) as audio:
        _until(audio, lambda: bool(audio.device) and audio.memory.blocks > 50, PATIENCE)
        if not audio.device:
            raise DeviceError(
                f"There is no device to measure: {audio.why}.", _NOTHING, "Plug one in, or name another."
            )
        if not audio.inputs:
            raise DeviceError(
                f"{audio.device} has no input.", _NOTHING, "Name a device with inputs and outputs."
            )
        found = [samples for _ in range(TRIES) if (samples := measure(audio)) is not None]
        if not found:
            raise DeviceError(
                f"What {audio.device} played did not come back.",
                _NOTHING,
                "Connect an output to an input, or put the microphone at the loudspeaker and turn both up.",
            )
        samples = agreed(found)
        if samples is None:
            raise DeviceError(
                f"{audio.device} answered differently each time ({', '.join(map(str, found))} samples).",
                _NOTHING,
                "Close other programs, use a larger --block, or look at the cable, and measure again.",
            )
        path = keep_round_trip(Measured(audio.device, rate, block, samples))
        reported = audio.reported
    print(
        f"{audio.device}: {samples} samples at {rate} Hz, {1000 * samples / rate:.2f} ms there and back "
        f"(block {block}; {found.count(samples)} of {TRIES} times exactly so; the device reports {reported})"
    )
    print(f"kept in {path}")


def measure(audio: AudioServer) -> int | None:
    """Samples from output to input, by one sweep; None where it is not found."""
    rate, sent = audio.rate, probe(audio.rate)
    at = audio.memory.position + rate // 5
    audio.memory.play_aside(at, np.tile(sent, (audio.channels, 1)))
    n = len(sent) + round(LONGEST_SECONDS * rate)
    _until(audio, lambda: audio.memory.heard_until > at + n, LONGEST_SECONDS + 3.0)
    try:
        heard = audio.memory.heard(at, n)
    except ValueError:  # time leapt, or stood still
        return None
    loudest = int(np.argmax((heard.astype(np.float64) ** 2).sum(axis=1)))
    return round_trip(sent, heard[loudest])


def agreed(found: list[int]) -> int | None:
    """What most of the measurements say, to a sample or two: their median; None where they differ."""
    middle = int(np.median(found))
    near = [samples for samples in found if abs(samples - middle) <= 2]
    return max(near, key=near.count) if len(near) >= max(2, (len(found) + 1) // 2) else None


def _until(audio: AudioServer, condition: Callable[[], bool], seconds: float) -> None:
    """Turn until something holds, or for so long."""
    give_up = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up:
        audio.turn()
        time.sleep(0.005)
