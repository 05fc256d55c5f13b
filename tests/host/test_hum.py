"""From a hummed clip to a melody on the bar grid."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from descant.host.ear import ears_of
from descant.host.engine import Engine
from descant.host.errors import HumError
from descant.host.events import Capture, Mode, SessionHello, TransportEvent, Trigger
from descant.host.hum import MAX_CLIP_SECONDS, ClipReader, melody_on_grid
from descant.host.render import render
from descant.host.transport import Grid

RATE = 16000


def hum(keys, seconds_each=0.5, rate=RATE):
    """A voice-like tone for each MIDI key: [1, n]."""
    time = np.arange(int(seconds_each * rate)) / rate
    tones = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * h * time) / h for h in range(1, 6)) * 0.2
        for key in keys
    ]
    return np.concatenate(tones)[None].astype(np.float32)


def parts(wave, clip_id=1, size=4000, at=0, rate=RATE):
    starts = range(0, wave.shape[1], size)
    return [
        Capture(at, clip_id, rate, wave[:, start : start + size], index, start + size >= wave.shape[1])
        for index, start in enumerate(starts)
    ]


@pytest.fixture
def reader(model):
    return ClipReader(ears_of(model).melody)


def test_pitches_are_read_however_the_clip_is_cut(reader):
    wave = hum([60, 64, 67, 72])
    chroma = [reader.add(part) for part in parts(wave)][-1]
    reader.forget(1)
    assert chroma.shape == (100, 12)
    middles = [int(chroma[25 * i + 12].argmax()) for i in range(4)]
    assert middles == [0, 4, 7, 0]
    again = [reader.add(part) for part in parts(wave, size=777)][-1]
    assert np.array_equal(chroma, again)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_long_clip_is_heard_while_it_comes_as_the_model_hears_all_of_it(reader, model, rate):
    loud, soft = hum([60, 62] * 6, rate=rate), 0.04 * hum([64, 65] * 5, rate=rate)  # soft beside the rest
    wave = np.concatenate([loud, soft, np.zeros((1, rate), np.float32), loud[:, :777]], axis=1)
    results = [reader.add(part) for part in parts(wave, size=rate, rate=rate)]
    assert all(result is None for result in results[:-1])
    whole = model.hear_melody(wave, rate).numpy()
    assert np.array_equal(results[-1], whole)
    assert whole[:300].any(axis=1).mean() > 0.95 and not whole[310:540].any(), (
        "what is loud is judged by all of it"
    )


def test_a_parts_work_does_not_grow_with_the_clip(model):
    """The ear keeps no more of the clip than its windows need."""
    listener = model.melody_listener(RATE)
    for _ in range(60):
        listener.push(torch.from_numpy(hum([60, 64])[0]))
        assert len(listener._waiting) < 3 * RATE


def test_melody_repeats_over_whole_bars_and_follows_the_tempo():
    grid = Grid(48000, 0, Fraction(0), Fraction(120))
    chroma = np.zeros((90, 12), np.float32)  # 1.8 s at 120 bpm: 3.6 beats, so one bar
    chroma[np.arange(90), np.arange(90) // 8] = 1
    melody = melody_on_grid(chroma, 50.0, grid, 96000, None)
    assert melody.start == 4 and melody.beats == 4
    assert np.array_equal(melody.at(Fraction(4)), chroma[0])
    assert np.array_equal(melody.at(Fraction(5)), chroma[25])
    assert np.array_equal(melody.at(Fraction(13)), chroma[25])
    assert np.array_equal(melody.at(Fraction(-3)), chroma[25])
    assert not melody.at(Fraction(79, 10)).any()  # the rest of the bar is silent
    longer = melody_on_grid(np.ones((240, 12), np.float32), 50.0, grid, 96000, None)  # 9.6 beats
    assert longer.beats == 12
    barely = melody_on_grid(np.ones((104, 12), np.float32), 50.0, grid, 96000, None)  # 4.16 beats
    assert barely.beats == 4
    placed = melody_on_grid(chroma, 50.0, grid, 96000, 24000)  # recorded from the second beat of a bar
    assert placed.start == 5 and placed.beats == 8


@pytest.mark.parametrize(
    ("wave", "hint"),
    [
        (np.full((1, 8000), np.nan, np.float32), "NaN"),
        (np.full((1, 8000), np.inf, np.float32), "NaN"),
        (np.zeros((1, 0), np.float32), "empty"),
        (hum([60])[:, :100], "empty"),
        (np.zeros((1, 8000), np.float32), "silent"),
        (np.full((1, 8000), 1e-5, np.float32), "silent"),
    ],
)
def test_clips_without_a_melody_are_refused(reader, wave, hint):
    with pytest.raises(HumError, match=hint) as caught:
        reader.add(Capture(0, 1, RATE, wave))
    assert len(str(caught.value).splitlines()) == 3
    assert reader.add(Capture(0, 1, RATE, hum([60]))) is not None  # the same clip may be sent again


def test_a_clipped_clip_is_used(reader):
    assert reader.add(Capture(0, 1, RATE, np.sign(hum([60, 64])))) is not None


def test_too_long_missing_and_too_many(reader):
    silence = np.full((1, RATE * 60), 0.0, np.float32)
    with pytest.raises(HumError, match="longer than 10 minutes"):
        for index in range(MAX_CLIP_SECONDS // 60 + 1):
            reader.add(Capture(0, 1, RATE, silence, index, last=False))
    assert reader.add(Capture(0, 1, RATE, silence, 99, last=False)) is None  # the rest of it is ignored
    with pytest.raises(HumError, match="missing"):
        reader.add(Capture(0, 2, RATE, hum([60]), 0, last=False))
        reader.add(Capture(0, 2, RATE, hum([60]), 2))
    with pytest.raises(HumError, match="rate"):
        reader.add(Capture(0, 3, RATE, hum([60]), 0, last=False))
        reader.add(Capture(0, 3, 44100, hum([60]), 1))
    with pytest.raises(HumError, match="clips"):
        for clip in range(10, 20):
            reader.add(Capture(0, clip, RATE, hum([60]), 0, last=False))


def test_a_hum_changes_the_music_from_the_next_bar_on(model, presets):
    hello = SessionHello(32000, channels=1, preset="pads")
    song = [TransportEvent(0, 120, 0.0), Trigger(0, 0)]
    clip = parts(hum([60, 64, 67, 64]), at=20000)
    plain = render(model, presets, song, 2.5, hello)
    hummed = render(model, presets, [*song, *clip], 2.5, hello)
    plan = hummed.plans[-1]
    assert (
        plan.from_sample == 64000
        and plan.bar == 1
        and plan.text == "hummed melody, 1 bar"
        and not hummed.faults
    )
    changed = np.flatnonzero((plain.wave != hummed.wave).any(axis=0))
    assert 64000 <= changed[0] <= 64000 + 6 * 640
    faint = [*song, *parts(hum([60]) * 1e-6, at=20000)]
    unchanged = render(model, presets, faint, 2.5, hello)
    assert unchanged.faults[0].code == "hum" and np.array_equal(unchanged.wave, plain.wave)


def test_a_hum_where_nothing_plays_starts_the_first_prompt(model, presets):
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48000, preset="free"))
    engine.handle(1, Mode(0, "offline"))
    outputs = [out for part in parts(hum([60, 62]), at=500) for out in engine.handle(1, part)]
    assert [plan.text for plan in outputs] == ["calm jazz with piano", "hummed melody, 1 bar"]
