"""A hum beside its take: when it is recorded, how it is read, what is heard aside and compared with it."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.hum_aside import CLICK_SECONDS, HumAside
from descant.host.hum_followed import FOLLOWED_BARS, HumFollowed
from descant.host.hum_reading import HumReading
from descant.host.hum_recording import HumRecording
from descant.host.hum_take import HumTake
from descant.host.keys import Key
from descant.host.pitch import Note, Trace, notes_of
from descant.host.transport import Timeline

SLOW = {"deadline": None, "max_examples": 40}
C_MINOR = Key(0, True).classes
RATE = 48000
TIMELINE = Timeline.internal(RATE, 120)  # a beat is 24000 samples, a bar 96000


def trace_of(*keys, rows=25, breath=6):
    """Each key held for `rows`, then `breath` rows of silence."""
    hz = np.concatenate([[440 * 2 ** ((key - 69) / 12)] * rows + [0.0] * breath for key in keys])
    sung = (hz > 0).astype(np.float32)
    return Trace(hz.astype(np.float32), sung, np.where(sung > 0, -20, -90).astype(np.float32))


def read(reading):
    key = reading.read()
    return key, [note.key for note in reading.notes]


C_MAJOR_LINE = (60, 62, 64, 65, 67, 69, 71, 72, 60, 64, 67, 60)


def test_notes_are_moved_to_the_key_that_is_played_in_to_the_one_heard_or_not_at_all():
    reading = HumReading(lambda: C_MINOR)
    reading.trace = trace_of(*C_MAJOR_LINE)
    key, keys = read(reading)
    assert key.classes == C_MINOR and {each % 12 for each in keys} <= set(C_MINOR)
    assert reading.moved_to == key and reading.key == Key(0) and reading.line == reading.notes
    reading.next_snap()
    assert reading.snap == "heard" and read(reading) == (Key(0), list(C_MAJOR_LINE))
    assert reading.moved_to == Key(0)
    reading.next_snap()
    assert reading.snap == "off" and read(reading) == (None, list(C_MAJOR_LINE))
    assert reading.moved_to is None and reading.key == Key(0) and reading.line is None
    reading.next_snap()
    assert reading.snap == "key"


@pytest.mark.parametrize("played", [None, (0, 1, 2)])
def test_where_no_key_is_played_in_notes_are_moved_to_the_one_that_was_heard(played):
    reading = HumReading(lambda: played)
    reading.trace = trace_of(*C_MAJOR_LINE)
    assert read(reading) == (Key(0), list(C_MAJOR_LINE)) and reading.moved_to == Key(0)


def test_the_key_that_is_played_in_is_asked_for_whenever_a_hum_is_read():
    played = [Key(0).classes]
    reading = HumReading(lambda: played[0])
    reading.trace = trace_of(*C_MAJOR_LINE)
    assert read(reading)[1] == list(C_MAJOR_LINE)
    played[0] = C_MINOR
    assert read(reading)[1] != list(C_MAJOR_LINE)


def test_octaves_that_slip_are_mended_unless_that_is_not_wanted():
    trace = trace_of(60, rows=60, breath=0)
    trace.hz[30:36] *= 2
    reading = HumReading()
    reading.trace = trace
    assert read(reading)[1] == [60] and reading.notes == notes_of(trace, reading.key.classes, True)
    reading.guard = False
    assert 72 in read(reading)[1]


def test_a_reading_begins_without_a_hum_keeps_notes_until_the_next_is_read_and_forgets():
    reading = HumReading(lambda: C_MINOR)
    assert read(reading)[1] == [] and reading.key is None and reading.line is None
    reading.trace = reading.trace + trace_of(60, 63)
    reading.read()
    assert len(reading.trace) == 62 and len(reading.notes) == 2
    reading.restart()
    assert len(reading.trace) == 0 and len(reading.notes) == 2
    reading.forget()
    assert len(reading.trace) == 0 and reading.notes == [] and reading.line is None


@given(st.integers(0, 10**7), st.integers(1, 8), st.integers(1, 4), st.integers(-500, 30_000))
@settings(**SLOW)
def test_a_recording_begins_on_a_bar_line_after_the_count_in_and_is_as_long_as_it_was_asked_for(
    at, bars, count_in, latency
):
    recording = HumRecording.armed(at, TIMELINE, bars, count_in, latency)
    assert recording.start % 96_000 == 0 and 0 <= recording.start - at - count_in * 96_000 < 96_000
    assert recording.end - recording.start == bars * 96_000 and recording.clicking == (at, recording.end)
    assert recording.window(latency) == (recording.start + latency, recording.end + latency)
    assert recording.taken == recording.window(latency)[0]
    assert recording.bar(recording.start, TIMELINE) == 1
    assert recording.bar(recording.end - 1, TIMELINE) == bars


def test_every_beat_before_a_recording_is_told_once():
    recording = HumRecording.armed(100, TIMELINE, 2, 1, 0)
    told = [recording.new_beat(now, TIMELINE) for now in range(100, recording.start, 500)]
    assert [left for left in told if left] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert recording.beats_left(recording.start - 24_001, TIMELINE) == 2
    assert recording.beats_left(recording.start + 1, TIMELINE) == 0


@given(st.lists(st.integers(0, 9000), min_size=1, max_size=60), st.integers(-300, 5000))
@settings(**SLOW)
def test_a_recording_is_taken_in_pieces_that_are_not_too_short_each_sample_once(steps, latency):
    recording, until = HumRecording.armed(0, TIMELINE, 1, 1, latency), 90_000
    first, end = recording.window(latency)
    pieces = []
    for step in [*steps, 10**6]:
        until = min(until + step, end)
        if (piece := recording.piece(until, latency, 4800)) is not None:
            pieces.append(piece)
    assert pieces[0][0] == first and sum(n for _, n in pieces) == end - first
    assert all(a + n == b for (a, n), (b, _) in pairwise(pieces))
    assert all(n >= 4800 for _, n in pieces[:-1]) and recording.piece(end, latency, 1) is None


def test_a_bar_that_is_recorded_again_is_not_taken_in_pieces():
    recording = HumRecording.armed(0, TIMELINE, 1, 1, 0, redone=1)
    assert recording.piece(recording.end, 0, 4800) is None and recording.taken == recording.start


def clicked(aside, at, n, clicking, timeline=TIMELINE):
    """Where clicks begin in what is heard aside."""
    wave = aside.heard(at, n, timeline, clicking)
    loud = np.flatnonzero(np.abs(wave) > 1e-3)
    return [at + int(first) for first in loud[np.flatnonzero(np.diff(loud, prepend=-(10**6)) > 4000)]]


def test_every_beat_of_the_stretch_clicks_and_the_first_of_a_bar_clicks_higher():
    aside = HumAside(RATE)
    beats = [place - place % 10 for place in clicked(aside, 0, 300_000, (20_000, 250_000))]
    assert beats == list(range(24_000, 250_000, 24_000))
    n = round(CLICK_SECONDS * RATE)
    beat, bar = (aside.heard(place, n, TIMELINE, (0, 10**6)) for place in (24_000, 96_000))
    crossings = [np.count_nonzero(np.diff(np.signbit(wave))) for wave in (beat, bar)]
    assert crossings[1] > 1.3 * crossings[0]


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12), st.integers(0, 60_000))
@settings(**SLOW)
def test_what_is_heard_aside_in_pieces_is_what_is_heard_at_once(sizes, at):
    aside, clicking = HumAside(RATE), (10_000, 80_000)
    aside.play(30_000, np.random.default_rng(1).normal(0, 0.1, 20_000).astype(np.float32))
    whole, place, pieces = aside.heard(at, sum(sizes), TIMELINE, clicking), at, []
    for size in sizes:
        pieces.append(aside.heard(place, size, TIMELINE, clicking))
        place += size
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)


def test_a_take_is_heard_in_its_place_until_it_is_over_or_stopped():
    aside, wave = HumAside(RATE), np.full(1000, 0.5, np.float32)
    assert aside.heard(0, 100, TIMELINE, None) is None and not aside.playing
    aside.play(5000, wave)
    heard = aside.heard(4900, 1200, TIMELINE, None)
    np.testing.assert_array_equal(heard, np.concatenate((np.zeros(100), wave, np.zeros(100))))
    aside.turn(6000)
    assert aside.playing
    aside.turn(6001)
    assert not aside.playing and aside.heard(5000, 100, TIMELINE, None) is None
    aside.play(5000, wave)
    aside.stop()
    assert not aside.playing and aside.heard(5000, 10, TIMELINE, (0, 5000)) is None


def hummed(n, bar=1000):
    return HumTake(np.zeros(n, np.float32), 0, Fraction(bar), 8000)


@given(st.integers(0, 500), st.integers(1, 4000), st.lists(st.integers(1, 700), min_size=1, max_size=20))
@settings(**SLOW)
def test_the_stretch_that_is_compared_is_the_music_from_its_first_sample_on_whatever_the_blocks(
    first, n, sizes
):
    sizes = [*sizes, first + n + 1, 1]  # the last one begins past its end
    music = np.random.default_rng(n).normal(0, 0.1, (2, sum(sizes))).astype(np.float32)
    followed, at, found = HumFollowed(), 0, []
    followed.handed_in([Note(0.0, 0.5, 60)])
    followed.begins(first, hummed(n))
    for size in sizes:
        found.append(followed.made(at, music[:, at : at + size]))
        at += size
    (stretch,) = [wave for wave in found if wave is not None]
    np.testing.assert_array_equal(stretch, music[:, first : first + n].mean(axis=0))
    assert followed.made(at, music) is None


def test_only_so_many_bars_are_compared_and_another_hum_takes_the_place_of_the_one_before():
    followed, block = HumFollowed(), np.ones((2, 20_000), np.float32)
    assert followed.notes == [] and followed.made(0, block) is None
    followed.begins(0, hummed(20_000))
    assert followed.made(0, block) is None
    assert len(followed.made(20_000, block)) == FOLLOWED_BARS * 1000
    followed.begins(0, hummed(20_000))
    followed.made(0, block)
    followed.handed_in([Note(0.0, 0.5, 62)])
    assert followed.made(20_000, block) is None and followed.notes == [Note(0.0, 0.5, 62)]
    followed.begins(0, hummed(1000))
    assert followed.made(5000, block) is None, "nothing of it was played"


def test_the_notes_of_a_take_are_counted_from_where_what_is_handed_in_begins():
    wave = np.zeros(32_000, np.float32)
    wave[17_000:20_000] = 0.3 * np.sin(np.arange(3000) * 0.3)
    notes = [Note(2.125, 0.3, 69)]
    assert HumTake(wave, 0, Fraction(8000), 8000).from_its_line(notes) == notes
    assert HumTake(wave, 0, Fraction(8000), 8000, kept=False).from_its_line(notes) == [Note(0.125, 0.3, 69)]
