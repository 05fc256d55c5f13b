"""Beats, bars and lines: exact, without drift, for every tempo, rate, metre and loop."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descant.host.errors import TransportError
from descant.host.events import TransportEvent
from descant.host.transport import Grid, Timeline

rates = st.sampled_from([8000, 22050, 32000, 44100, 47999, 48000, 96000, 192000])
tempi = st.one_of(st.integers(20, 300).map(float), st.floats(1.0, 999.0))
metres = st.tuples(st.integers(1, 13), st.sampled_from([2, 4, 8, 16]))
quantises = st.sampled_from(["beat", "bar", "2 bars", "4 bars"])


def test_plain_numbers():
    time, _ = Timeline.internal(48000, 90).followed(TransportEvent(0, tempo=120, beat=0.0))
    assert time.line(0, "bar") == 0
    assert time.line(1, "bar") == 96000
    assert time.line(96001, "4 bars") == 4 * 96000
    assert time.line(24001, "beat") == 48000
    assert time.line(777, "off") == 777
    assert time.beat_at(36000) == Fraction(3, 2)
    assert time.bar_at(240000) == Fraction(5, 2)
    assert time.phases(36000) == (0.5, 0.375)


def test_no_drift_after_a_day():
    time, _ = Timeline.internal(44100, 120).followed(TransportEvent(0, tempo=119.7, beat=0.0))
    day = 24 * 3600 * 44100
    line = time.line(day, "bar")
    exact = time.bar_at(line)
    spare = Fraction(1, 2) * time.grids[0].tempo / (60 * 44100 * 4)
    assert abs(exact - round(exact)) <= spare


@given(rates, tempi, metres, quantises, st.integers(0, 10**9), st.floats(-1e4, 1e4))
def test_next_line_is_the_first_line_not_before(rate, tempo, metre, quantise, sample, beat):
    time, _ = Timeline.internal(rate, 120).followed(TransportEvent(1000, tempo, beat, *metre))
    line = time.line(sample, quantise)
    assert line >= sample
    assert time.line(line, quantise) == line
    if line > sample:
        assert time.line(sample + (line - sample) // 2, quantise) == line
        assert time.line(line - 1, quantise) == line
    assert time.line(line + 1, quantise) > line
    # The line lies within half a sample of a whole beat or bar.
    grid = time.at(line)
    half = grid.tempo / (120 * rate)
    bar = (grid.beat_at(line) + half - grid.origin) % grid.bar_beats
    assert min(bar, grid.bar_beats - bar) <= 2 * half if quantise != "beat" else bar % 1 <= 2 * half


@given(rates, tempi, st.lists(st.integers(1, 100_000), max_size=30))
def test_a_client_that_only_confirms_changes_nothing(rate, tempo, blocks):
    """The beat as a double, recomputed by the client for each block, never moves the anchor."""
    time, _ = Timeline.internal(rate, 120).followed(TransportEvent(0, tempo, 0.0))
    at = 0
    for block in blocks:
        at += block
        again, jumped = time.followed(TransportEvent(at, tempo, at * tempo / (60 * rate)))
        assert again is time and not jumped


def test_a_jump_is_followed_from_its_sample_on():
    time, _ = Timeline.internal(48000, 120).followed(TransportEvent(0, 120, 0.0))
    later, jumped = time.followed(TransportEvent(100_000, 120, 64.0))
    assert jumped
    assert later.beat_at(99_999) == time.beat_at(99_999)
    assert later.beat_at(100_000) == 64
    assert later.line(100_001, "bar") == 100_000 + 96000
    assert later.line(50_000, "bar") == 96_000
    assert later.line(96_001, "bar") == 100_000  # the jump lands on bar 16


def test_tempo_change_keeps_what_was_before_it():
    time, _ = Timeline.internal(48000, 120).followed(TransportEvent(0, 120, 0.0))
    later, jumped = time.followed(TransportEvent(96_000, 60, 4.0))
    assert jumped and later.line(1, "bar") == 96_000 and later.line(96_001, "bar") == 96_000 + 192_000
    assert later.pruned(96_000).grids == later.grids[1:]


def test_loop_wraps_and_lines_follow_it():
    loop = {"looping": True, "loop_start": 4.0, "loop_end": 8.0}
    time, _ = Timeline.internal(48000, 120).followed(TransportEvent(0, 120, 4.0, **loop))
    assert time.beat_at(96_000) == 4 and time.beat_at(120_000) == 5
    assert time.line(1, "bar") == 96_000
    assert time.line(1, "4 bars") == 96_000  # no such line inside: the loop's start counts
    again, jumped = time.followed(TransportEvent(96_000, 120, 4.0, **loop))
    assert again is time and not jumped
    odd, _ = time.followed(TransportEvent(0, 120, 4.0, looping=True, loop_start=4.0, loop_end=6.5))
    assert odd.line(1, "bar") == 60_000 and odd.line(48_001, "beat") == 60_000


def test_metre_change_counts_bars_from_the_last_bar_line():
    time, _ = Timeline.internal(48000, 120).followed(TransportEvent(0, 120, 0.0))
    waltz, _ = time.followed(TransportEvent(2 * 96_000, 120, 8.0, 3, 4))
    assert waltz.bar_at(2 * 96_000) == 2
    assert waltz.line(2 * 96_000 + 1, "bar") == 2 * 96_000 + 72_000
    odd, _ = time.followed(TransportEvent(0, 120, 0.0, 7, 8))
    beats = [odd.line(at, "beat") for at in (1, 24_001, 48_001, 72_001)]
    assert beats == [24_000, 48_000, 72_000, 84_000]  # 3.5 quarters: the bar line comes early


def test_stopped_transport_runs_on_and_sets_tempo():
    time, _ = Timeline.internal(48000, 120).followed(TransportEvent(0, 120, 0.0))
    stopped, _ = time.followed(TransportEvent(96_000, 120, 4.0, playing=False))
    assert stopped.beat_at(192_000) == 8 and not stopped.playing
    frozen, jumped = stopped.followed(TransportEvent(144_000, 120, 4.0, playing=False))
    assert frozen is stopped and not jumped
    slower, jumped = stopped.followed(TransportEvent(144_000, 60, 4.0, playing=False))
    assert jumped and slower.beat_at(144_000) == 6 and slower.beat_at(192_000) == 7


def test_internal_clock_restarts_until_a_transport_is_heard():
    time = Timeline.internal(48000, 120)
    assert time.restarted(12_345).line(12_346, "bar") == 12_345 + 96_000
    heard, _ = time.followed(TransportEvent(0, 120, 0.0))
    assert heard.restarted(12_345) is heard


@pytest.mark.parametrize("tempo", [0.0, -1.0, 999.5, float("nan"), float("inf")])
def test_impossible_tempo_is_refused_with_what_is_allowed(tempo):
    with pytest.raises(TransportError, match=r"1\.\.999") as caught:
        Timeline.internal(48000, 120).followed(TransportEvent(0, tempo, 0.0))
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "event",
    [
        TransportEvent(0, 120, float("nan")),
        TransportEvent(0, 120, 1e300),
        TransportEvent(0, 120, 0.0, 0, 4),
        TransportEvent(0, 120, 0.0, 4, 3),
        TransportEvent(0, 120, 0.0, looping=True, loop_start=4.0, loop_end=4.0),
        TransportEvent(0, 120, 0.0, looping=True, loop_start=0.0, loop_end=float("inf")),
    ],
)
def test_impossible_transports_are_refused(event):
    with pytest.raises(TransportError):
        Timeline.internal(48000, 120).followed(event)


def test_the_edges_of_tempo_are_accepted():
    for tempo in (1.0, 999.0):
        time, _ = Timeline.internal(48000, 120).followed(TransportEvent(0, tempo, 0.0))
        assert time.line(1, "beat") == Grid(48000, 0, Fraction(0), Fraction(tempo)).next_beat(1)
