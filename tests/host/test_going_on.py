"""Music that goes on from other music: handed in while something plays, swapped in at the bar."""

import numpy as np
import pytest

from descant.host.ear import LATEST_SECONDS, MusicEar
from descant.host.engine import Engine
from descant.host.errors import HumError
from descant.host.events import Capture, SessionHello, TransportEvent, Trigger
from descant.host.render import render, replay
from tests.host.conftest import first_difference
from tests.host.test_hum import hum, parts
from tests.host.test_windowed import musicgen

BAR = 96_000  # samples at 120 beats a minute and 48 kHz


def music(keys, at=0, rate=48_000):
    """A clip handed in to be gone on from, in parts."""
    wave = np.repeat(hum(keys, rate=rate), 2, axis=0)
    return [
        Capture(part.at_sample, 7, rate, part.part, part.index, part.last, "live")
        for part in parts(wave, clip_id=7, size=20_000, at=at, rate=rate)
    ]


@pytest.fixture(scope="module", params=["embedded's form", "musicgen's form"])
def player_model(request, model):
    return model if request.param == "embedded's form" else musicgen()


def test_the_next_bar_goes_on_from_it_and_nothing_before_changes(player_model, presets):
    hello = SessionHello(48_000, channels=1, preset="pads")
    song = [TransportEvent(0, 120, 0.0), Trigger(0, 0)]
    alone = render(player_model, presets, song, 3.0, hello)
    waves = []
    for keys in ([60, 64], [57, 69]):
        given = render(player_model, presets, [*song, *music(keys, at=30_000)], 3.0, hello)
        assert not given.faults
        assert given.plans[-1].from_sample == BAR and "going on from" in given.plans[-1].text
        changed = first_difference(alone.wave, given.wave)
        assert changed is not None and BAR <= changed <= BAR + 6 * 960
        again = replay(player_model, presets, given.log, 3.0, hello)
        assert np.array_equal(again.wave, given.wave)
        waves.append(given.wave)
    assert first_difference(*waves) is not None, "what was handed in makes no difference"


def test_it_is_the_continuation_the_model_itself_makes(model, presets):
    """From the bar on, the same samples as a stream of the model's that was given the clip."""
    hello = SessionHello(32_000, channels=1, preset="free", seed=3)
    clip = music([60, 64], rate=32_000)
    given = render(model, presets, clip, 1.0, hello)
    wave = np.concatenate([part.part for part in clip], axis=1)
    codes = model.prompt_codes((wave, 32_000))
    from descant.host.playback import _mixed

    start = given.plans[-1].from_sample
    ours = given.wave[:, start:]
    voice_seed = _mixed(3, start)
    from descant.host.resample import Resampler
    from descant.host.schedule import Scene, Schedule
    from descant.host.transport import Timeline
    from descant.host.voice import Begin, Voice

    assert start == 0 and ours.any()
    scene = Scene(Timeline.internal(32_000, 120), text="calm jazz with piano", guidance=3.0)
    voice = Voice(model, Resampler(32_000, 32_000), 0, voice_seed, 2, None, Begin(codes, sounds=False))
    voice.fade_in = 96  # 3 ms
    from descant.model.work import done

    schedule = Schedule(scene)
    while voice.ready < 32_000:
        done(model.lm, voice.advance(schedule))
    assert voice.generator.position == codes.shape[1] + 50
    assert first_difference(voice.render(0, 32_000), ours) in (None, *range(96))


def test_where_nothing_plays_the_first_prompt_begins_with_it(model, presets):
    given = render(model, presets, music([60]), 1.0, SessionHello(48_000, channels=1, preset="free"))
    assert [plan.text for plan in given.plans][-1] == "calm jazz with piano (going on from 0.5 s)"
    assert given.wave.any() and not given.faults


def test_a_later_pad_takes_it_back_and_a_rewind_begins_it_again(client, model, presets):
    player = client(engine=Engine(model, presets), seconds=4, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0))
    player.run_to(30_000)
    player.send(*music([60, 64], at=30_000))
    player.run_to(40_000)
    player.send(Trigger(40_000, 1))  # the last press wins its line
    cues = player.engine.session(1).score.schedule.cues
    assert not any(cue.prompt for cue in cues)
    player.send(*music([60, 64], at=40_000))
    player.run_to(BAR - 6_000)  # the stream has begun ahead of its line
    player.send(Trigger(player.playhead, 1), *music([57], at=player.playhead))
    player.run_to(player.total)
    assert not player.faults
    again = replay(model, presets, player.engine.session(1).log.entries, 4, player.hello)
    assert np.array_equal(again.wave, player.heard)


def test_another_engine_carries_it_on(client, model, presets):
    """Handed in, and the engine lost before its bar."""
    from descant.host.ear import ears_of
    from descant.host.resume import pack, unpack

    player = client(engine=Engine(model, presets), seconds=2, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0), *music([60, 64]))
    player.run_to(9_600)
    back = unpack(pack(player.engine.session(1)), model, presets, ears_of(model))
    kept = [cue for cue in back.score.schedule.cues if cue.prompt]
    assert kept == [cue for cue in player.engine.session(1).score.schedule.cues if cue.prompt] and kept


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_what_is_no_music_changes_nothing(model, presets, value):
    wave = np.full((1, 48_000), value, np.float32)
    engine = Engine(model, presets)
    engine.open(1, SessionHello(48_000, preset="free"))
    (fault,) = engine.handle(1, Capture(0, 1, 48_000, wave, role="live"))
    assert fault.code == "hum" and not engine.session(1).score.schedule.cues


def test_only_its_latest_seconds_count(model):
    ear = MusicEar(model, 8_000)
    for _ in range(30):
        ear.push(np.repeat(hum([60], rate=8_000), 2, axis=0))
        assert ear.kept <= 8_000 * (LATEST_SECONDS + 1)
    assert ear.finish().shape == (model.spec.n_codebooks, round(LATEST_SECONDS * model.spec.frame_rate))
    with pytest.raises(HumError, match="one frame"):
        ear = MusicEar(model, 48_000)
        ear.push(np.zeros((1, 10), np.float32))
        ear.finish()
