"""A client that rewinds, loops and leaps: what sounded goes on at the new place, with no false alarm."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.host.engine import Engine
from descant.host.events import (
    AudioOut,
    Capture,
    Control,
    Heartbeat,
    NoteOff,
    NoteOn,
    Parameter,
    SessionHello,
    TransportEvent,
    Trigger,
)

FRAME = 960  # client samples at 48 kHz
SOON = 6 * FRAME  # after the commit window: resampling, lookahead, the place of the first frame


def first_sound(player, after):
    sounding = np.flatnonzero(player.heard[:, after:].any(axis=0))
    return None if not len(sounding) else after + int(sounding[0])


def scene(player, sample):
    return player.engine.session(1).score.schedule.scene(sample)


def beat_at(player, sample):
    """Where the song is heard to be: as generation is told, and as the session says."""
    told = scene(player, sample).timeline.beat_at(sample)
    assert told == player.engine.session(1).score.timeline.beat_at(sample)
    return told


@pytest.mark.parametrize("to", [0, 100, 47_000, 49_000, 96_000, 150_000])
def test_music_goes_on_wherever_the_client_goes(client, to):
    player = client(seconds=4, slices=8, preset="free")
    player.send(Trigger(0, 0), Parameter(0, "temperature", 0.5))
    player.run_to(48_000)
    epoch = player.epoch
    player.seek(to)
    player.run_to(to + 24_000)
    assert player.epoch == epoch + 1 and not player.faults
    found = first_sound(player, to)
    assert found is not None and to + player.commit <= found <= to + player.commit + SOON
    assert scene(player, player.playhead).text == "calm jazz with piano"
    assert scene(player, player.playhead).temperature == 0.5
    assert len(player.plans) == 1  # nothing new was decided


def test_a_rewind_a_leap_and_a_pad_after_them(client):
    """Play, leap ten seconds ahead, rewind ten, rewind to the start, press a pad."""
    player = client(seconds=12, slices=8, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(24_000)
    for move in (480_000, -480_000, None):
        to = 0 if move is None else player.playhead + move
        player.seek(to)
        player.run_to(to + 12_000)
        assert first_sound(player, to) <= to + player.commit + SOON
    player.send(Trigger(player.playhead, 2))  # a cut
    at = player.plans[-1].from_sample
    assert at == player.playhead + player.commit
    player.run_to(at + 9_600)
    assert np.abs(player.heard[:, at + SOON :]).max() > 0
    assert scene(player, at).text == "warm ambient with synth pad"
    assert not player.faults


def test_the_stream_is_carried_on_from_what_was_heard(client):
    player = client(seconds=3, slices=20, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(60_000)
    before = player.engine.session(1).playback.current().tokens
    player.seek(6_000)
    player.run_to(24_000)
    after = player.engine.session(1).playback.current().tokens
    heard = (60_000 - player.commit) // FRAME
    assert after.shape[1] > heard and np.array_equal(before[:, :heard], after[:, :heard])


def test_the_beats_of_every_place_stay_right_through_changes_of_tempo(client):
    player = client(seconds=10, slices=8)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0))
    player.run_to(120_000)
    player.send(TransportEvent(120_000, 90, 5.0))
    player.run_to(200_000)
    for to, beat in ((24_000, 1.0), (120_000 + 64_000, 7.0), (0, 0.0), (120_000, 5.0), (336_000, 11.75)):
        player.seek(to)
        assert beat_at(player, to) == beat
    player.seek(48_000)
    player.send(TransportEvent(48_000, 100, 2.0))  # the client says otherwise this time
    player.run_to(60_000)
    assert beat_at(player, 48_000 + 57_600) == 4.0


def test_a_pad_that_waits_for_its_bar_finds_the_next_one_at_the_new_place(client):
    player = client(seconds=10, slices=8)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0))
    player.run_to(100_000)
    player.send(Trigger(100_000, 2))
    assert player.plans[-1].from_sample == 192_000
    player.seek(300_000)
    assert player.plans[-1].from_sample == 384_000 and player.plans[-1].bar == 4
    player.seek(10_000)
    assert player.plans[-1].from_sample == 96_000 and player.plans[-1].bar == 1
    player.run_to(90_000)
    assert scene(player, 95_999).text == "calm jazz with piano"
    player.run_to(100_000)
    assert scene(player, 96_000).text == "warm ambient with synth pad" and not player.faults


@pytest.mark.parametrize("block", [256, 480, 1024])
@pytest.mark.parametrize(
    "leaps", [(76_800, 77_760), (60_000, 61_000, 85_000), (80_000, 80_512, 81_024, 81_536)]
)
@pytest.mark.parametrize("by", [256, -256])
def test_small_leaps_while_a_pad_waits_for_its_bar_leave_it_on_the_bar(client, block, leaps, by):
    """A host of plugins that loses a block here and there; the pad's first frames may be made already."""
    player = client(seconds=4, slices=8, block=block)
    player.send(TransportEvent(0, 120, 0.0))
    player.run_to(48_000)
    player.send(Trigger(48_000, 0))
    for at in leaps:
        player.run_to(at)
        player.seek(player.playhead + by)
        player.send(TransportEvent(player.playhead, 120, player.playhead / 24_000))
    player.run_to(144_000)
    assert 96_000 <= first_sound(player, 0) <= 96_010
    assert not player.faults


def test_a_knob_ridden_before_a_rewind_is_heard_after_it(client):
    """Where the ride had come to far ahead says nothing of the new place."""
    player = client(seconds=6, slices=1, block=480, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(200_000)
    for step in range(20):
        player.send(Control(player.playhead, 1, step))
        player.run_to(player.playhead + 480)
    player.seek(24_000)
    player.send(Control(player.playhead, 1, 127), Control(player.playhead, 1, 126))
    acts = [entry.changeable for entry in player.engine.session(1).log.entries[-2:]]
    lead = player.engine.session(1).pacing.lead
    assert all(24_000 + player.commit <= at <= 24_000 + lead + SOON for at in acts)


def test_a_stop_that_was_decided_holds_at_the_new_place(client):
    player = client(seconds=4, slices=8, preset="free")
    player.send(Trigger(0, 0))
    player.run_to(48_000)
    player.send(Control(48_000, 123, 0))
    player.seek(6_000)
    player.run_to(60_000)
    assert first_sound(player, 6_000) is None and not player.engine.wants_work() and not player.faults
    player.send(Trigger(60_000, 1))
    player.run_to(96_000)
    assert first_sound(player, 60_000) is not None


def test_held_keys_are_still_held_and_released_ones_are_not(client):
    player = client(seconds=4, slices=8, preset="keys")
    player.send(Trigger(0, 0), NoteOn(0, 60))
    player.run_to(48_000)
    player.send(NoteOn(48_000, 64), NoteOff(48_000, 60))
    player.run_to(60_000)
    player.seek(10_000)
    player.run_to(20_000)
    assert scene(player, player.playhead).chords == (4,)
    player.send(NoteOff(20_000, 64))
    player.run_to(40_000)
    assert scene(player, player.playhead).chords == () and not player.faults


def test_a_hum_keeps_its_place_in_the_bar(client):
    player = client(seconds=10, slices=8)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0))
    player.run_to(100_000)
    time = np.arange(32_000) / 16_000
    voice = (0.4 * np.sign(np.sin(2 * np.pi * 220 * time)))[None].astype(np.float32)
    player.send(Capture(100_000, 1, 16_000, voice))
    assert player.plans[-1].from_sample == 192_000
    player.seek(30_000)
    player.run_to(40_000)
    melody = scene(player, player.playhead).melody
    assert melody is not None and (melody.start, melody.beats) == (8, 4) and not player.faults


def test_a_heartbeat_that_comes_late_moves_nothing(model, presets):
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48_000, channels=1, preset="free"))
    engine.handle(1, Heartbeat(0, 0, 96_000, sequence=5))
    engine.handle(1, Trigger(0, 0))
    engine.handle(1, Heartbeat(0, 9_600, 96_000, sequence=7))
    engine.handle(1, Heartbeat(0, 4_800, 96_000, sequence=6))
    session = engine.session(1)
    assert session.pacing.playhead == 9_600 and session.playback.epoch == 0
    engine.handle(1, Heartbeat(0, 4_800, 96_000, sequence=8))
    assert session.pacing.playhead == 4_800 and session.playback.epoch == 1


def test_offline_the_music_begins_at_the_very_sample(model, presets):
    from descant.host.events import Mode

    engine = Engine(model, presets)
    engine.open(1, SessionHello(48_000, channels=1, preset="free"))
    engine.handle(1, Mode(0, "offline"))
    engine.handle(1, Heartbeat(0, 0, 48_000))
    engine.handle(1, Trigger(0, 0))
    made = []
    for playhead, jumps in ((0, 0), (24_000, 0), (5_000, 1)):
        engine.handle(1, Heartbeat(playhead, playhead, 48_000, jumps=jumps))
        made.append([])
        while engine.wants_work():
            made[-1] += [output for _, output in engine.work() if isinstance(output, AudioOut)]
    assert made[2][0].at_sample == 5_000 and made[2][0].epoch == 1
    assert made[2][-1].at_sample + made[2][-1].wave.shape[1] == 53_000


moves = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 300_000)),
        st.tuples(st.just("nudge"), st.integers(-3_000, 3_000)),
        st.tuples(st.just("play"), st.integers(0, 24_000)),
        st.tuples(st.just("pad"), st.sampled_from([0, 1, 2, 3, 5])),
        st.tuples(st.just("ride"), st.integers(0, 127)),
    ),
    min_size=2,
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves, st.sampled_from(["pads", "free"]), st.booleans())
def test_after_any_seeks_music_sounds_within_the_lead(client, moves, preset, transport):
    player = client(seconds=12, slices=10, preset=preset, block=960)
    if transport:
        player.send(TransportEvent(0, 240, 0.0))
    player.send(Trigger(0, 5))
    player.run_to(14_400)
    for kind, value in [*moves, ("seek", 1_000)]:
        at = player.playhead
        if kind == "play":
            player.run_to(at + value)
        elif kind == "pad":
            player.send(Trigger(at, value))
        elif kind == "ride":
            player.send(Control(at, 1, value))
        else:
            to = value if kind == "seek" else max(0, at + value)
            player.seek(to)
            player.run_to(to + 19_200 + SOON)
            assert first_sound(player, to) is not None
            if transport:
                assert beat_at(player, to) == Fraction(to, 12_000)
    assert not player.faults
