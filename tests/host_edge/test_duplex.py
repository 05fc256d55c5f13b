"""Which device is opened: one that another programme holds is passed over, and said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sounddevice

from descant.host.edge.audio_memory import AudioMemory, Layout
from descant.host.edge.audio_tick import Tick
from descant.host.edge.audio_words import AudioOrder
from descant.host.edge.duplex import Duplex, NoDevice
from descant.host.looper import Looper

TAKEN, SPARE = "the taken interface", "the spare interface"
BUSY = sounddevice.PortAudioError("Error opening OutputStream: Device unavailable [PaErrorCode -9985]")


@pytest.fixture
def tick() -> Tick:
    layout = Layout(rate=48_000, channels=2, ring=4096, pages=1)
    return Tick(
        Looper(48_000, 2, slots=1, slot_seconds=1.0, pool_seconds=2.0, past_seconds=1.0),
        AudioMemory.made(layout),
    )


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two devices of which the first one is held by another programme, as PortAudio tells of it; those that
    were tried."""
    tried: list[int] = []
    devices = [
        {"name": name, "max_input_channels": 0, "max_output_channels": 2, "default_samplerate": 44_100.0}
        for name in (TAKEN, SPARE)
    ]

    def opened(**words: Any) -> SimpleNamespace:
        tried.append(words["device"])
        if words["device"] == 0:
            raise BUSY
        return SimpleNamespace(latency=0.01)

    monkeypatch.setattr(sounddevice, "_terminate", lambda: None)
    monkeypatch.setattr(sounddevice, "_initialize", lambda: None)
    monkeypatch.setattr(sounddevice, "query_devices", lambda: devices)
    monkeypatch.setattr(sounddevice, "default", SimpleNamespace(device=(-1, 0)))
    monkeypatch.setattr(sounddevice, "OutputStream", opened)
    return tried


def order(tick: Tick, *devices: str) -> AudioOrder:
    return AudioOrder(tick.memory.descriptor, tick.memory.layout, devices, outputs=(0, 2))


def test_the_next_device_that_was_named_is_taken(tick: Tick, machine: list[int]) -> None:
    duplex = Duplex.found(order(tick, TAKEN, SPARE), tick)
    assert duplex.name == SPARE and duplex.device_rate == 48_000
    assert machine == [0, 0, 1]  # the taken one at the timeline's rate and at its own


def test_the_default_one_is_none_where_it_is_taken_and_the_reason_is_said(tick: Tick) -> None:
    with pytest.raises(NoDevice, match=f"{TAKEN} cannot be opened .*Device unavailable"):
        Duplex.found(order(tick), tick)


def test_another_one_than_was_named_is_never_taken(tick: Tick, machine: list[int]) -> None:
    with pytest.raises(NoDevice, match="Device unavailable"):
        Duplex.found(order(tick, TAKEN), tick)
    assert set(machine) == {0}
