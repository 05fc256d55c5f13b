"""Models trained on windows, as MusicGen is, play like the one that ships: pads, rides, hums and takes."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from descant.host.engine import Engine
from descant.host.events import (
    Capture,
    Control,
    FaultOut,
    NoteOn,
    Parameter,
    SessionHello,
    TransportEvent,
    Trigger,
)
from descant.host.hum import Melody
from descant.host.preset import ControllerRow, Preset, PromptSlot, SamplingRow
from descant.host.render import render, replay
from descant.host.schedule import Scene
from descant.host.telling import Placed, Telling
from descant.host.transport import Grid, Timeline
from descant.model import ControlSpec, LmSpec, ModelSpec, MusicModel, Sampling, tiny_model
from descant.model.conditions.controls import make_track
from descant.model.conditions.prefix_chroma import PrefixChroma
from descant.model.conditions.prefix_track import Place, prefix_vectors
from descant.model.lm.music_lm import MusicLm
from tests.host.conftest import first_difference
from tests.model.encodec_kit import NON_CAUSAL
from tests.model.encodec_kit import make as make_codec

WINDOW, STRIDE = 30, 18  # frames; MusicGen's are 1500 and 900
MELODY = ControlSpec("melody", 12, form="prefix", length=12, null=0)
HOP = 960  # samples of a frame at 48 kHz


def musicgen(seed=0, **changes):
    """MusicGen at tiny width: its codec's form and lags, its delays, its windows; random weights."""
    codec = make_codec(replace(NON_CAUSAL, n_codebooks=4, cardinality=64), torch.float32)
    numbers = {"delays": (0, 1, 2, 3), "text_dim": 384, "window": WINDOW, "stride": STRIDE, **changes}
    spec = LmSpec(32, 2, 2, 64, 4, 64, **numbers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lm = MusicLm(spec).eval().requires_grad_(False)
        for parameter in lm.parameters():
            parameter.mul_(1.7)
    return MusicModel(ModelSpec("musicgen", codec.spec, spec), codec, lm, tiny_model().text, "w" * 64)


@pytest.fixture(scope="module")
def plain():
    return musicgen()


@pytest.fixture(scope="module")
def melodious():
    return musicgen(1, controls=(MELODY,), text_form="prefix")


@pytest.fixture(scope="module", params=["plain", "melodious"])
def windowed(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def presets():
    slots = (
        PromptSlot(text="calm jazz with piano", key=36),
        PromptSlot(text="driving techno", key=37),
        PromptSlot(text="warm ambient", key=38, transition="cut"),
    )
    cc = {"1": ControllerRow("temperature", (0.2, 1.8)), "2": ControllerRow("melody", (0.0, 1.0))}
    rest = {"prompts": slots, "quantise": "off", "hum": "now"}
    return {
        "pads": Preset(name="pads", cc={"1": cc["1"]}, **rest),
        "bars": Preset(name="bars", prompts=slots),
        "rich": Preset(name="rich", cc=cc, chords=("C", "Am"), keys="chords", **rest),
        "unled": Preset(name="unled", sampling=SamplingRow(guidance=1.0), **rest),
    }


def hum(seconds=1.0, rate=16_000):
    time = np.arange(round(seconds * rate)) / rate
    key = np.where(time < seconds / 2, 220.0, 330.0)
    voice = sum(np.sin(2 * np.pi * np.cumsum(key) / rate * h) / h for h in range(1, 6))
    return (0.2 * voice)[None].astype(np.float32)


def test_lags_are_those_of_the_real_ones(plain):
    assert plain.spec.lag == 4322 and plain.spec.codec.lookahead_frames == 4


def test_a_pad_changes_the_music_at_its_bar_and_nothing_before(windowed, presets):
    hello = SessionHello(48_000, channels=1, preset="bars")
    song = [TransportEvent(0, 240, 0.0), Trigger(0, 0)]
    alone = render(windowed, presets, song, 2.0, hello)
    for slot in (1, 2):
        pressed = render(windowed, presets, [*song, Trigger(40_000, slot)], 2.0, hello)
        changed = first_difference(alone.wave, pressed.wave)
        assert changed is not None and 48_000 <= changed <= 48_000 + 4 * HOP
        assert [plan.from_sample for plan in pressed.plans] == [0, 48_000] and not pressed.faults


def test_a_take_with_rewinds_across_windows_plays_again_sample_for_sample(client, windowed, presets):
    player = client(engine=Engine(windowed, presets), seconds=4, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0))
    for at in range(19_200, 172_800, 7_200):
        player.run_to(at)
        player.send(Control(at, 1, at // 400 % 128))
        if at % 21_600 == 0:
            player.send(Trigger(at, at // 7_200 % 3))
    player.run_to(player.total)
    assert not player.faults and player.epoch > 10
    again = replay(windowed, presets, player.engine.session(1).log.entries, 4, player.hello)
    assert np.array_equal(again.wave, player.heard) and np.abs(again.wave).max() > 0


def test_what_was_heard_is_one_decode_of_the_final_codes(client, windowed, presets):
    player = client(
        engine=Engine(windowed, presets), seconds=2, slices=12, sample_rate=32_000, channels=1, preset="pads"
    )
    player.send(Trigger(0, 0))
    for at in range(9_600, 60_000, 4_800):
        player.run_to(at)
        player.send(Trigger(at, at // 4_800 % 2), Control(at, 1, at // 500))
    player.run_to(player.total)
    start = player.plans[0].from_sample
    whole = windowed.codec.decode(player.engine.session(1).playback.current().tokens[None])[0].numpy()
    heard = player.heard[:, start + 200 :]
    assert np.abs(heard - whole[:, 200 : 200 + heard.shape[1]]).max() < 1e-5


def test_a_hum_is_heard_as_a_whole_and_told_only_when_it_changes(client, melodious, presets):
    engine = Engine(melodious, presets)
    player = client(engine=engine, seconds=4, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, 240, 0.0), Trigger(0, 0))
    player.run_to(24_000)
    player.send(Capture(24_000, 1, 16_000, hum()))
    assert player.plans[-1].text == "hummed melody, 1 bar"
    player.run_to(48_000)
    stream = engine.session(1).playback.current()

    def told():
        snapshot = stream.snapshot()
        return len(snapshot.tracks["melody"]), len(snapshot.texts)

    assert told() == (2, 1)  # absent, then the hum
    for at in range(48_000, 90_000, 2_400):  # a ride and a transport that is confirmed change nothing of it
        player.run_to(at)
        player.send(Control(at, 1, at // 500 % 128), TransportEvent(at, 240, at / 12_000))
    assert told() == (2, 1)
    player.send(Trigger(player.playhead, 1))
    player.run_to(120_000)
    assert told() == (2, 2)
    player.send(Parameter(player.playhead, "melody", 0.0))
    player.run_to(150_000)
    assert told() == (3, 2) and stream.snapshot().tracks["melody"][-1][1].frames is None
    assert not player.faults


def noises(seconds=1.5, rate=16_000):
    """No pitch in it, and more than five seconds' worth of a seam if that long."""
    draw = np.random.default_rng(5)
    return draw.uniform(-0.3, 0.3, (1, round(seconds * rate))).astype(np.float32)


def test_what_stands_before_the_music_is_heard_as_the_reference_hears_it(client, melodious, presets):
    player = client(engine=Engine(melodious, presets), seconds=2, slices=12, preset="pads", channels=1)
    wave = noises()
    player.send(TransportEvent(0, 120, 0.0), Trigger(0, 0), Capture(0, 1, 16_000, wave))
    player.run_to(24_000)
    assert not player.faults and player.plans[-1].text == "hummed melody, 1 bar"
    told = player.engine.session(1).playback.current().snapshot().tracks["melody"][-1][1].frames
    reference = PrefixChroma(hop=640).frames(wave, 16_000)  # at the frame rate
    heard = melodious.hear_melody(wave, 16_000)
    assert heard.shape == (75, 12) and torch.equal(heard, reference[:75])
    rows = torch.from_numpy(np.asarray(told))
    assert bool((rows.sum(1) == 1).all()) and len(set(rows.argmax(1).tolist())) > 2


def test_a_render_goes_on_from_music_as_the_model_does(windowed, presets):
    """Greedily, so that the host's seeds do not matter: what is heard is the model's own continuation."""
    codes = windowed.prompt_codes((noises(0.4), 16_000))
    hello = SessionHello(32_000, channels=1, preset="pads")
    song = [Parameter(0, "temperature", 0.0), Parameter(0, "guidance", 2.0), Trigger(0, 0)]
    heard = render(windowed, presets, song, 1.2, hello, begin_with=codes).wave
    text = presets["pads"].prompts[0].text
    stream = windowed.stream(text, prompt=codes, sampling=Sampling(0.0, 64, 0.0, 2.0))
    whole = torch.cat([stream.step() for _ in range(60)], dim=-1).numpy()
    assert codes.shape == (4, 20) and torch.equal(stream.tokens[:, :20], codes)
    assert np.abs(heard[:, 200:] - whole[:, 200 : heard.shape[1]]).max() < 1e-5
    with_none = render(windowed, presets, song, 1.2, hello).wave
    assert first_difference(with_none, heard) is not None


def test_a_melody_of_other_bins_is_followed_and_resumed(client, presets):
    eight = musicgen(2, controls=(replace(MELODY, dim=8),), text_form="prefix")
    player = client(engine=Engine(eight, presets), seconds=3, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, 240, 0.0), Trigger(0, 0), Capture(0, 1, 16_000, noises(6.0)))
    player.run_to(72_000)
    track = player.engine.session(1).playback.current().snapshot().tracks["melody"][-1][1]
    assert track.frames.shape[1] == 8 and not player.faults
    engine = Engine(eight, presets)
    engine.resume(1, player.resumes[-1].snapshot)
    melodies = [scene_melody(part.session(1)) for part in (engine, player.engine)]
    assert melodies[0].chroma.shape == (300, 8) and np.array_equal(*(m.chroma for m in melodies))


def scene_melody(session):
    return session.score.schedule.scene(72_000).melody


@pytest.mark.parametrize("tempo", [240, 177.3])
def test_each_window_hears_the_melody_where_the_song_is(client, melodious, presets, tempo):
    engine = Engine(melodious, presets)
    player = client(engine=engine, seconds=4, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, tempo, 0.0), Trigger(0, 0))
    player.run_to(24_000)
    player.send(Capture(24_000, 1, 16_000, hum()))
    player.run_to(96_000)
    session = engine.session(1)
    scene = session.score.schedule.scene(96_000)
    track = session.playback.current().snapshot().tracks["melody"][-1][1]
    start = player.plans[0].from_sample
    for origin in (0, STRIDE, 5 * STRIDE, 40 * STRIDE):
        place = Place(origin, WINDOW, 50.0, 32_000, extended=True)
        rows = torch.cat(list(prefix_vectors(track, MELODY, place))).numpy()
        assert rows.shape == (12, 12) and (rows.sum(axis=1) == 1).all()
        agree = 0
        for index, row in enumerate(rows):
            for early in (-0.03, 0.0, 0.03):  # a row stands for 50 ms of song
                sample = start + origin * HOP + round((index / 20 + early) * 48_000)
                want = scene.melody.at(scene.timeline.beat_at(sample))
                if int(want.argmax()) == int(row.argmax()):
                    agree += 1
                    break
        assert agree == 12, origin


def test_a_table_is_whole_repetitions_whatever_the_tempo():
    chroma = np.eye(12, dtype=np.float32)[np.arange(100) // 9]
    for tempo in (60, 93, 120, 177.3, 240):
        grid = Grid(48_000, 0, Fraction(0), Fraction(tempo))
        melody = Melody(chroma, 50.0, 0.5, Fraction(4), Fraction(4))
        placed = Placed(melody, grid, Fraction(1), 0.0)
        table = placed.table(MELODY, 7.8333)
        repetitions = len(table) / 7.8333 * tempo / 60 / 4
        assert abs(repetitions - round(repetitions)) * 4 * 60 / tempo < 0.01 * round(repetitions)
        later = Placed(melody, grid, Fraction(1) + Fraction(31 * tempo) / 60 % 4, 31.0)
        assert later.continues(placed) and not replace(later, second=31.2).continues(placed)
        other = replace(grid, tempo=Fraction(tempo * 1.01))
        assert not replace(later, grid=other).continues(placed)
    looped = replace(grid, loop=(Fraction(0), Fraction(3)))
    assert Placed(melody, looped, Fraction(1), 0.0).period == 3
    rests = Melody(np.zeros((10, 12), np.float32), 50.0, 0.5, Fraction(0), Fraction(4))
    assert (Placed(rests, grid, Fraction(0), 0.0).table(MELODY, 7.8).argmax(axis=1) == 0).all()
    make_track(MELODY, table, 50.0, 0, True)


def test_a_rewind_tells_a_prefix_again_only_if_it_was_told_later(melodious):
    class Stream:
        horizon, position = 0, 0

    telling, stream = Telling(melodious.spec, 48_000, 0, 0), Stream()
    timeline = Timeline.internal(48_000, 120)
    quiet = Scene(timeline, text="a")
    assert set(telling.all(quiet)) == {"text", "melody"}
    stream.horizon = 10
    assert telling.news(replace(quiet, temperature=0.5), stream) == {}
    stream.horizon = 20
    assert telling.news(replace(quiet, text="b"), stream) == {"text": "b"}
    stream.horizon = 15
    assert telling.news(quiet, stream) == {"text": "a", "melody": None}  # b was to come at 20
    stream.horizon = 30
    assert telling.news(quiet, stream) == {}


def test_controls_it_lacks_are_ignored_with_one_note(client, plain, melodious, presets):
    engine = Engine(plain, presets)
    player = client(engine=engine, seconds=2, slices=12, preset="rich", channels=1)
    player.send(Trigger(0, 0), NoteOn(0, 60), NoteOn(9, 64), Parameter(0, "chords", 0.5), Control(0, 2, 90))
    player.run_to(24_000)
    (note,) = player.faults
    assert note.severity == "info" and "melody, chords" in note.what and "musicgen" in note.what
    player.send(Parameter(24_000, "beat", 0.5), Parameter(24_000, "beat", 0.6))
    assert len(player.faults) == 2 and "beat" in player.faults[1].what
    player.send(Capture(24_000, 1, 16_000, hum()))
    assert len(player.faults) == 3 and "follows no melody" in player.faults[2].what
    player.run_to(player.total)
    assert len(player.faults) == 3 and np.abs(player.heard[:, 24_000:]).max() > 0
    assert not render(plain, presets, [Trigger(0, 0)], 0.5, SessionHello(48_000, preset="pads")).faults
    rich = render(melodious, presets, [Trigger(0, 0)], 0.5, SessionHello(48_000, preset="rich"))
    assert ["chords" in fault.what for fault in rich.faults] == [True]


def test_guidance_is_told_off_for_the_stream_that_plays_and_works_for_the_next(client, plain, presets):
    engine = Engine(plain, presets)
    player = client(engine=engine, seconds=3, slices=12, preset="unled", channels=1)
    player.send(Trigger(0, 0))
    player.run_to(24_000)
    for at in (24_000, 30_000, 36_000):
        player.run_to(at)
        player.send(Parameter(at, "guidance", 3.0 + at / 36_000))
    player.run_to(60_000)
    (fault,) = player.of(FaultOut)
    assert fault.severity == "warning" and "guidance" in fault.what
    assert not engine.session(1).playback.current().guided
    player.send(Trigger(60_000, 2))
    player.run_to(90_000)
    assert engine.session(1).playback.current().guided and len(player.faults) == 1


def test_a_session_of_windows_is_resumed_and_follows_a_rewind(client, melodious, presets):
    player = client(engine=Engine(melodious, presets), seconds=5, slices=12, preset="pads", channels=1)
    player.send(TransportEvent(0, 240, 0.0), Trigger(0, 0), Capture(0, 1, 16_000, hum()))
    player.run_to(96_000)
    last = player.resumes[-1]
    assert len(last.snapshot) < 200_000
    before = player.engine.session(1).playback.current().tokens
    player.engine = Engine(melodious, presets)
    player.engine.resume(1, last.snapshot)
    player.placed[:, 96_000:] = 0
    player.run_to(120_000)
    stream = player.engine.session(1).playback.current()
    shared = (last.at_sample - player.commit) // HOP - stream.first_frame
    there = before[:, stream.first_frame :][:, :shared]
    assert shared > 4 and torch.equal(there, stream.tokens[:, :shared])
    player.seek(24_000)
    player.run_to(60_000)
    assert np.abs(player.heard[:, 24_000 + player.commit + 6 * HOP : 60_000]).max() > 0
    assert not player.faults
