"""The pure parts of humming live: trace, octaves, keys, notes, trim, placement, a bar mended, following."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.follow import follow
from descant.host.hum_take import (
    GAP_SECONDS,
    HumTake,
    last_phrase,
    line_of,
    mono,
    on_bars,
    sound_span,
    window,
)
from descant.host.keys import ALL, Key, key_in, key_of, snapped
from descant.host.pitch import (
    BLIP,
    FRAME_RATE,
    HOP,
    RATE,
    Note,
    PlainTracker,
    Trace,
    guarded,
    notes_of,
    track,
)
from descant.host.transport import Timeline
from tools.hum_synth import HumNote, hum, random_melody

SLOW = {"deadline": None, "max_examples": 40}


def found(notes, wanted):
    """How many of the notes that were hummed were read: the key right, for half of their time."""
    return sum(
        any(
            n.key == w.key and min(n.start + n.seconds, w.end) - max(n.start, w.start) > (w.end - w.start) / 2
            for n in notes
        )
        for w in wanted
    )


@pytest.mark.parametrize("seed,tonic,minor", [(0, 60, False), (1, 48, True), (2, 55, False), (3, 62, True)])
def test_a_hums_notes_and_key_are_read_from_it(seed, tonic, minor):
    wanted = random_melody(seed, 8.0, 100, tonic, minor)
    notes = notes_of(track(hum(wanted, 8.0, RATE, seed)))
    assert found(notes, wanted) == len(wanted) == len(notes)
    weights = np.bincount([n.key % 12 for n in notes], [n.seconds for n in notes], minlength=12)
    key = key_of(weights)
    assert weights[list(key.classes)].sum() > 0.9 * weights.sum()
    hit = [min(abs(n.start - w.start) for n in notes) for w in wanted]
    assert max(hit) < 0.1


@given(st.lists(st.integers(1, 6000), min_size=1, max_size=12), st.integers(0, 99))
@settings(**SLOW)
def test_a_trace_in_pieces_is_the_trace_of_the_whole(sizes, seed):
    wave = np.random.default_rng(seed).normal(0, 0.1, sum(sizes)).astype(np.float32)
    wave += 0.3 * np.sin(2 * np.pi * 200 * np.arange(len(wave)) / RATE).astype(np.float32)
    tracker, trace, at = PlainTracker(), Trace.empty(), 0
    for size in sizes:
        trace, at = trace + tracker.push(wave[at : at + size]), at + size
    trace = trace + tracker.push(wave[:0], last=True)
    whole = track(wave)
    assert len(trace) == len(whole) == max(1, len(wave) // HOP)
    for piece, of_all in zip((trace.hz, trace.confidence), (whole.hz, whole.confidence)):
        np.testing.assert_allclose(piece, of_all, rtol=1e-4, atol=1e-4)


KEYS = st.lists(st.one_of(st.just(float("nan")), st.floats(30, 90)), max_size=80)


@given(KEYS)
@settings(**SLOW)
def test_the_octave_guard_moves_by_octaves_alone_and_leaves_what_lasts(keys):
    keys = np.array(keys, np.float32)
    out = guarded(keys)
    moved = (out - keys)[~np.isnan(keys)]
    np.testing.assert_allclose(moved / 12, np.round(moved / 12), atol=1e-4)
    assert np.array_equal(np.isnan(out), np.isnan(keys))


@given(st.floats(40, 70), st.integers(1, BLIP - 1), st.sampled_from([-12, 12]), st.integers(20, 60))
@settings(**SLOW)
def test_a_blip_an_octave_off_is_mended_and_a_leap_that_lasts_is_not(key, length, octave, at):
    keys = np.full(90, key, np.float32)
    keys[at : at + length] += octave
    np.testing.assert_allclose(guarded(keys), np.full(90, key), atol=1e-3)
    keys[at:] = key + octave
    np.testing.assert_array_equal(guarded(keys), keys)


@given(st.floats(0, 127), st.sampled_from(ALL))
@settings(**SLOW)
def test_the_nearest_note_of_a_key_is_of_it_and_is_the_nearest(pitch, key):
    note = snapped(pitch, key.classes)
    assert note % 12 in key.classes and 0 <= note <= 127
    assert all(abs(note - pitch) <= abs(other - pitch) for other in range(128) if other % 12 in key.classes)
    assert snapped(float(note), key.classes) == note
    assert key_in(key.classes, np.ones(12)).classes == key.classes


def test_keys_are_named_and_silence_has_none():
    assert (Key(6, True).name, Key(10).name) == ("F#m", "Bb")
    assert key_of(np.zeros(12)) is None and key_of(np.ones(12)) is None
    assert key_in((0, 1, 2), np.ones(12)) is None


@given(
    st.integers(0, 20_000), st.integers(400, 20_000), st.integers(0, 20_000), st.sampled_from([8000, 44100])
)
@settings(**SLOW)
def test_silence_is_trimmed_wherever_a_sound_lies(before, n, after, rate):
    sound = 0.3 * np.sin(np.arange(n) * 0.1)
    wave = np.concatenate((np.zeros(before), sound, np.zeros(after))).astype(np.float32)
    first, end = sound_span(wave, rate)
    assert not wave[:first].any() and not np.abs(wave[end:]).max(initial=0) > 0
    assert before - 0.05 * rate <= first <= before and before + n - 1 <= end <= before + n + 0.05 * rate
    assert sound_span(np.zeros(n, np.float32), rate) == (0, 0)
    gap = np.zeros(round((GAP_SECONDS + 0.1) * rate), np.float32)
    begun, over = last_phrase(np.concatenate((wave, gap, wave)), rate)
    later = len(wave) + len(gap)
    assert later + before - 0.05 * rate <= begun <= later + before
    assert later + before + n - 1 <= over <= later + before + n + 0.05 * rate


@given(st.integers(0, 10**7), st.integers(1000, 200_000), st.integers(-500, 30_000), st.floats(60, 180))
@settings(**SLOW)
def test_what_was_hummed_lies_where_it_was_meant(at, n, latency, tempo):
    """A sound that comes `latency` after the music it was hummed to gets that music's place."""
    first, end = window(at, at + n, latency)
    assert (first - latency, end - first) == (at, n)
    rate = 48000
    timeline = Timeline.internal(rate, tempo)
    wave = np.random.default_rng(1).uniform(0.1, 0.3, n).astype(np.float32)
    take = on_bars(wave, at, timeline, rate)
    assert abs(take.at - timeline.line(take.at, "bar")) <= 1 and take.at <= at
    place = at - take.at
    np.testing.assert_array_equal(take.wave[place : place + n], wave[: len(take.wave) - place])
    assert not take.wave[:place].any() and not take.wave[place + n :].any()
    assert abs(len(take.wave) / take.bar - take.bars) < 1e-3


@given(st.integers(1, 5), st.data())
@settings(**SLOW)
def test_a_bar_that_is_hummed_again_changes_that_bar_alone_and_joins_without_a_click(bars, data):
    index = data.draw(st.integers(0, bars - 1))
    bar = Fraction(data.draw(st.integers(4000, 9000)) * 3 + 1, 3)
    take = HumTake(np.full(round(bars * bar), 0.5, np.float32), 0, bar, 8000)
    new = take.again(index, np.full(round(bar), -0.5, np.float32))
    first, end = round(index * bar), round((index + 1) * bar)
    changed = np.flatnonzero(new.wave != take.wave)
    assert changed.min() >= first and changed.max() < end
    assert new.wave[(first + end) // 2] == -0.5 and np.abs(np.diff(new.wave)).max() < 0.05
    assert new.bars == take.bars == bars


def test_what_is_handed_in_begins_on_a_bar_line_and_keeps_a_length_that_was_asked_for():
    bar, rate = Fraction(8000), 8000
    wave = np.zeros(32_000, np.float32)
    wave[17_000:20_000] = 0.3 * np.sin(np.arange(3000) * 0.3)
    free, kept = HumTake(wave, 0, bar, rate, kept=False), HumTake(wave, 0, bar, rate)
    np.testing.assert_array_equal(free.handed_in(None), wave[16_000:24_000])
    np.testing.assert_array_equal(kept.handed_in(None), wave)
    line = kept.handed_in([Note(2.125, 0.3, 69)])
    assert len(line) == len(wave) and not line[:17_000].any() and np.abs(line[17_500:19_000]).max() > 0.1
    assert notes_of(track(line_of([Note(0.5, 0.5, 69), Note(1.0, 0.5, 72)], 2 * RATE, RATE)))[0].key == 69


def test_the_channel_with_the_microphone_is_heard():
    loud = np.random.default_rng(1).normal(0, 0.1, 4000).astype(np.float32)
    np.testing.assert_array_equal(mono(np.stack((loud, 0 * loud))), loud)
    np.testing.assert_allclose(mono(np.stack((loud, loud))), loud, atol=1e-7)
    assert not mono(np.zeros((2, 10), np.float32)).any()


def test_music_that_follows_is_told_from_music_that_does_not():
    notes = [Note(index * 0.5, 0.45, key) for index, key in enumerate((60, 64, 67, 65, 62, 60, 71, 69))]
    music = line_of(notes, 4 * 32000, 32000)
    late = np.concatenate((np.zeros(3200, np.float32), music))[: len(music)]
    same = follow(late, 32000, notes)
    assert same.score > 0.8 > 0.3 > same.chance and abs(same.late - 0.1) <= 0.04
    other = follow(
        line_of([Note(n.start, n.seconds, n.key + 1) for n in notes], 4 * 32000, 32000), 32000, notes
    )
    assert other.score < 0.4
    assert follow(np.zeros(32000, np.float32), 32000, notes) is None and follow(music, 32000, []) is None


def test_repeated_notes_are_read_as_such():
    wanted = [HumNote(0.2 + 0.5 * index, 0.65 + 0.5 * index, 60) for index in range(4)]
    notes = notes_of(track(hum(wanted, 2.5, RATE, 3)))
    assert [note.key for note in notes] == [60] * 4
    assert len(track(np.zeros(HOP * 10, np.float32)).keys()) == 10 and FRAME_RATE == 62.5
