"""Plays one performance into a host of its own, over a real socket in real time, and assembles the take.

Knows nothing about pictures or files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction

from descant.host.edge.audio_device import open_output
from descant.host.edge.cues import Performance
from descant.host.edge.host_process import running_host
from descant.host.edge.listening import ListeningClient
from descant.host.edge.midi_file import Song, sample_of
from descant.host.edge.performer import Performer, Recording
from descant.host.preset import Preset
from descant.plugin_bridge import wire
from tools.hum_synth import HumNote
from tools.take import Commit, MeterReading, Played, Section, Take

CHANNELS, BLOCK = 2, 256
HUMMED = r"hummed melody\D*(\d+) bars?"  # how the host plans a melody


def play(
    performance: Performance,
    preset: Preset,
    notes: Sequence[HumNote],
    model: str,
    rate: int,
    seed: int,
    silent: bool,
    say: Callable[[str], None],
    progress: Callable[[float, float], None],
    folders: tuple[str, ...] = (),
) -> Take:
    """Start a host, play, listen, end the host. rate: Hz of the client's side. folders: of presets, besides
    the shipped ones. Raises HostError or WireError."""
    with ExitStack() as stack:
        say(f"starting a host with the {model} model")
        host = stack.enter_context(running_host(model, presets=folders))
        client = ListeningClient(
            host.endpoint, rate, BLOCK, CHANNELS, name="first light", preset=preset.name, seed=seed
        )
        stack.callback(client.close)
        welcome = client.connect()
        output = None if silent else open_output(rate, CHANNELS)
        if output is not None:
            stack.enter_context(output)
        heard = "heard through the audio device" if output is not None else "no audio device is used"
        say(f"connected at {host.endpoint}; playing {float(performance.length):.0f} s in real time, {heard}")
        hear = output.write if output is not None else None
        recording = Performer(client, performance, heard=hear, progress=progress).play()
    return take_of(recording, performance, preset, notes, welcome, seed)


def take_of(
    recording: Recording,
    performance: Performance,
    preset: Preset,
    notes: Sequence[HumNote],
    welcome: wire.Welcome,
    seed: int,
) -> Take:
    """A recording and what was played as one take, cut to begin a beat before the first music."""
    song, rate = performance.song, recording.sample_rate
    assert song is not None  # tools/run always has one
    end = recording.wave.shape[1]
    bars = _bars(song, rate, end)
    spans = hum_spans(recording.plans, bars)
    sections = _sections(recording, preset, end, spans)
    last = sections[-1].end if sections else end
    spans = [(a, min(b, last)) for a, b in spans if a < last]
    beat = round(60 / song.tempo_at(Fraction(0)) * rate)
    start = max(0, sections[0].start - beat) if sections else 0
    meters = [m for m in recording.meters if m.at_sample >= start]
    delays = [m for m in meters if m.control_delay_ms_p95 > 0]
    return Take(
        sample_rate=rate,
        wave=recording.wave[:, start:],
        start=start,
        bars=tuple(bars),
        first_bar=0,
        sections=tuple(sections),
        played=tuple(_played(performance, preset, rate)),
        commits=tuple(Commit(c.from_sample, c.epoch) for c in recording.commits),
        meters=tuple(MeterReading(m.at_sample, m.lead_ms, m.real_time_factor) for m in meters),
        hum=tuple(notes),
        hum_spans=tuple(spans),
        control_delay_ms=(delays[-1].control_delay_ms_p50, delays[-1].control_delay_ms_p95)
        if delays
        else (0.0, 0.0),
        underruns=recording.underruns,
        commit_ms=preset.commit_ms,
        model=welcome.model,
        weights_hash=welcome.weights_hash,
        seed=seed,
        faults=tuple(f"{fault.what} / {fault.still} / {fault.do}" for fault in recording.faults),
        silent_from=None if recording.silent_from is None else max(start, recording.silent_from),
    )


def hum_spans(plans: Sequence[wire.Plan], bars: Sequence[int]) -> list[tuple[int, int]]:
    """Where the hum steers, as the host planned it, one (start, end) for each time round."""
    out: list[tuple[int, int]] = []
    for plan in plans:
        match = re.fullmatch(HUMMED, plan.text)
        if match is None:
            continue
        out = [(a, b) for a, b in out if b <= plan.from_sample]
        first = min(range(len(bars)), key=lambda i: abs(bars[i] - plan.from_sample))
        lines = [plan.from_sample, *bars[first + int(match[1]) :: int(match[1])]]
        out += [(a, b) for a, b in zip(lines, [*lines[1:], bars[-1]], strict=True) if b > a]
    return out


def _bars(song: Song, rate: int, end: int) -> list[int]:
    """Samples of the bar lines up to the end."""
    out: list[int] = []
    while not out or out[-1] < end:
        out.append(sample_of(song.seconds_at(song.beat_of_bar(len(out))), rate))
    return out if out[-1] == end else out[:-1]


def _sections(recording: Recording, preset: Preset, end: int, spans: list[tuple[int, int]]) -> list[Section]:
    """A section for each prompt that was really played, as the host planned it; the last word on a sample
    counts."""
    plans: dict[int, str] = {}
    for plan in recording.plans:
        if not re.fullmatch(HUMMED, plan.text):
            plans = {at: text for at, text in plans.items() if at < plan.from_sample}
            plans[plan.from_sample] = plan.text
    starts: list[tuple[int, str]] = []
    for at, text in sorted(plans.items()):
        if at < end and (not starts or starts[-1][1] != text):
            starts.append((at, text))
    rows = zip(starts, [*(at for at, _ in starts), end][1:], strict=True)
    slots = {row.text: f"pad {index + 1}" for index, row in enumerate(preset.prompts)}
    return [
        Section(
            at, until, slots.get(text, "prompt"), text, any(at <= a < until or a <= at < b for a, b in spans)
        )
        for (at, text), until in rows
        if text
    ]


def _played(performance: Performance, preset: Preset, rate: int) -> list[Played]:
    """Everything the performer did that the preset gives a meaning, and the hum, as it was recorded
    beforehand."""
    out: list[Played] = []
    song = performance.song
    assert song is not None
    for event in song.events:
        at = sample_of(event.seconds, rate)
        if event.kind == "note_on":
            slot = preset.slot_of_key(event.number)
            label = f"note {event.number}" if slot is None else f"pad {slot + 1}"
            out.append(
                Played(
                    at,
                    "pad",
                    "stop" if slot is not None and preset.prompts[slot].stop else label,
                    event.value / 127,
                )
            )
        elif event.kind == "control" and (row := preset.cc.get(str(event.number))):
            out.append(Played(at, "cc", f"CC {event.number} → {row.parameter}", event.value / 127))
    hum = performance.hum
    if hum is not None:
        seconds = hum.wave.shape[1] / hum.sample_rate
        handed_in = sample_of(song.seconds_at(song.beat_of_bar(hum.at_bar)), rate)
        out.append(
            Played(handed_in - round(seconds * rate), "hum", f"hum, handed in at bar {hum.at_bar}", seconds)
        )
    return out
