"""Models trained on windows: beyond the first one, every pattern, prefixes, prompts and rows of guidance."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model import ModelError, Sampling, Snapshot, tiny_model
from descant.model.codec.tonebank import TonebankCodec
from descant.model.columns import Form
from descant.model.lm.inputs import LmInputs
from descant.model.lm.music_lm import MusicLm
from descant.model.music_model import MusicModel
from descant.model.patterns import pattern_of
from descant.model.sampling import column_seed, mix_rows, sample
from descant.model.spec import ControlSpec, LmSpec, ModelSpec

HOP, WINDOW, STRIDE, K, CARD = 640, 20, 12, 4, 64
BEAT = ControlSpec("beat", 4, guided=False)
MELODY = ControlSpec("melody", 12, form="prefix", length=9, null=0)
OFF = Sampling(guidance=1.0)
PATTERNS = {
    "delay": {"pattern": "delay", "delays": (0, 1, 2, 3)},
    "parallel": {"pattern": "parallel", "delays": (0, 0, 0, 0)},
    "flatten": {"pattern": "flatten", "delays": (0, 0, 0, 0)},
    "partial": {"pattern": "flatten", "delays": (0, 2, 2, 2), "flattening": (0, 1, 1, 1)},
    "coarse_first": {"pattern": "coarse_first", "delays": (0, 0, 0, 0)},
    "grouped": {"pattern": "grouped", "delays": (0, 0, 0, 0), "group_by": 2},
    "flat first": {"pattern": "delay", "flatten_first": 3, "empty_initial": 2},
    "late": {"pattern": "parallel", "delays": (0, 0, 0, 0), "empty_initial": 3},
}


def make(seed=0, **changes):
    tiny = tiny_model()
    assert isinstance(tiny.codec, TonebankCodec)
    numbers = {
        "delays": (0, 1, 2, 3),
        "text_dim": 384,
        "window": WINDOW,
        "stride": STRIDE,
        "controls": (BEAT,),
    }
    spec = LmSpec(32, 2, 2, 64, K, CARD, **{**numbers, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lm = MusicLm(spec).eval().requires_grad_(False)
        for parameter in lm.parameters():
            parameter.mul_(1.7)
    return MusicModel(ModelSpec("windowed", tiny.codec.spec, spec), tiny.codec, lm, tiny.text, "w" * 64)


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def melody_model():
    return make(1, controls=(MELODY,), text_form="prefix")


def beat(frame):
    return [1.0, frame / 100, 0.0, -1.0]


def run(g, frames):
    return torch.cat([torch.zeros(1, 0), *(g.step() for _ in range(frames))], dim=-1)


def reference(model, text, n_frames, seed, *, drain, prefix=None, prompt=None):
    """The codes by full forward passes: every window anew, every column drawn from the whole of it. No cache,
    no stream, no shadow."""
    spec = model.spec.lm
    pattern = pattern_of(spec)
    codes = torch.full((K, n_frames + WINDOW), -1)
    if prompt is not None:
        codes[:, : prompt.shape[1]] = prompt
    states = model.encode_text(text).states[None]
    origin = 0
    while True:
        left = n_frames - origin
        length = left if left <= WINDOW else (WINDOW if drain else None)
        last = pattern.n_columns(length or WINDOW) - 1
        for column in range(1, last + 1):
            here = pattern.frames_at(column, length)
            if length is None and max(here) >= WINDOW:
                break
            new = [(k, origin + f) for k, f in enumerate(here) if f >= 0 and codes[k, origin + f] < 0]
            if not new:
                continue
            tokens = torch.full((K, column), CARD)
            for c in range(column):
                for k, f in enumerate(pattern.frames_at(c, length)):
                    tokens[k, c] = codes[k, origin + f] if f >= 0 else CARD
            frames = []
            for c in range(column):  # a column that predicts nothing keeps the settings of what it holds
                heard = max(max(pattern.frames_at(c + 1, length)), -1)
                frames.append(heard if heard >= 0 else max(0, *pattern.frames_at(c, length)))
            controls = {}
            if spec.frame_controls:
                controls["beat"] = torch.tensor([beat(origin + f) for f in frames])[None].repeat(2, 1, 1)
            if prefix is not None:
                given = prefix(origin)
                null = torch.zeros_like(given)
                null[:, 0] = 1.0
                controls["melody"] = torch.stack([given, null])
            mask = torch.ones(2, states.shape[1], dtype=torch.bool)
            mask[1] = False
            inputs = LmInputs(states.repeat(2, 1, 1), mask, controls)
            with torch.inference_mode():
                logits = model.lm(tokens.expand(2, -1, -1), inputs)[:, :, -1]
            seeded = torch.Generator().manual_seed(
                column_seed(seed, origin * pattern.columns_per_frame + column - 1)
            )
            drawn = sample(mix_rows(logits, Sampling()), Sampling(), seeded)
            for k, f in new:
                codes[k, f] = drawn[k]
        if length is not None and origin + length >= n_frames:
            return codes[:, :n_frames]
        origin += STRIDE


@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("kind", PATTERNS)
def test_windows_draw_what_full_forward_passes_draw(kind, drain):
    if kind in ("coarse_first", "grouped") and not drain:
        drain = True  # it cannot take over in mid-pattern: both forms are the same
    model = make(2, **PATTERNS[kind])
    g = model.stream("warm piano", seed=3, beat=beat, form=Form(50, drain))
    audio = run(g, 50)
    assert torch.equal(g.tokens, reference(model, "warm piano", 50, 3, drain=drain))
    assert len(g.tokens.unique()) > 20
    assert (audio - model.codec.decode(g.tokens[None])[0]).abs().max() < 1e-6
    with pytest.raises(ModelError, match="given them all"):
        g.step()


def test_later_windows_hear_the_melody_where_the_song_is(melody_model):
    melody = torch.eye(12)[torch.randint(0, 12, (14,), generator=torch.Generator().manual_seed(0))]

    def part(origin):
        shift = round(origin / 50 * 9 * 50 / WINDOW)
        return melody.roll(-shift, 0)[:9]

    g = melody_model.stream("warm piano", melody=melody, seed=3, form=Form(45, drain=True))
    run(g, 45)
    assert torch.equal(g.tokens, reference(melody_model, "warm piano", 45, 3, drain=True, prefix=part))


@pytest.mark.parametrize("kind", ["delay", "flatten", "coarse_first", "grouped", "flat first"])
@pytest.mark.parametrize("drain", [True, False])
def test_a_shadow_changes_the_work_and_not_the_music(kind, drain):
    model = make(2, **PATTERNS[kind])
    with_shadow, without = (
        model.stream("warm piano", seed=5, beat=beat, form=Form(70, drain, shadow=shadow))
        for shadow in (True, False)
    )
    most = {}
    for g in (with_shadow, without):
        columns = []
        step = model.lm.step
        for _ in range(70):
            before = sum(w.rows.position for w in g._columns._windows)
            g.step()
            after = sum(w.rows.position for w in g._columns._windows)
            columns.append(after - before)
        assert step is not None
        most[g] = max(columns[5:])
    assert torch.equal(with_shadow.tokens, without.tokens)
    if kind == "delay":  # taking over costs no more columns than the lags, not the whole prompt
        assert most[with_shadow] <= 8 + 8 and most[without] >= WINDOW - STRIDE


@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("rewound", [True, False])
def test_a_shadow_runs_no_column_whose_settings_may_still_change(model, drain, rewound):
    """New words at any frame: the next window hears them as one that is run when it begins."""
    words = ["warm piano", "slow drums", "bright strings"]
    asked = []

    def heard(frame):
        asked.append(frame)
        return beat(-frame)

    for first in (17, 19, 20, 23, 31, 32):
        streams = [
            model.stream(words[0], seed=5, beat=beat, form=Form(70, drain, shadow=shadow))
            for shadow in (True, False)
        ]
        for g in streams:
            for frame in range(56):
                asked.clear()
                if frame in (first, first + 1):
                    if rewound:
                        g.rewind(0)
                    g.set(words[1 + frame - first], beat=heard)
                g.step()
                assert all(f < g.horizon for f in asked)
        assert torch.equal(streams[0].tokens, streams[1].tokens), first


@pytest.mark.parametrize("drain", [True, False])
def test_snapshots_can_be_taken_at_any_frame_of_any_window(model, melody_model, drain):
    for made in (model, melody_model):
        g = made.stream("warm piano", seed=4, form=Form(None, drain), max_rewind=4)
        for _ in range(3 * WINDOW):
            g.step()
            Snapshot.from_bytes(g.snapshot().to_bytes()).check(made.spec)


@given(
    moves=st.lists(st.tuples(st.integers(0, 17), st.integers(0, 30)), min_size=1, max_size=6),
    drain=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_rewinds_across_windows_give_the_same_music_again(model, moves, drain):
    whole = model.stream("warm piano", seed=6, beat=beat, form=Form(None, drain))
    g = model.stream("warm piano", seed=6, beat=beat, max_rewind=40, form=Form(None, drain))
    for steps, back in moves:
        run(g, steps)
        g.rewind(min(back, g.position - g.earliest))
    audio = run(g, 3)
    expected = run(whole, g.position)
    assert torch.equal(g.tokens, whole.tokens[:, : g.tokens.shape[1]])
    assert torch.equal(audio, expected[:, -3 * HOP :])
    assert len(g._columns._windows) <= 2 + 40 // STRIDE + 1


def test_a_long_stream_keeps_two_windows_at_most(model):
    g = model.stream("warm piano", seed=6, beat=beat, max_rewind=4)
    most = 0
    for _ in range(8 * WINDOW):
        g.step()
        most = max(most, len(g._columns._windows) + (g._columns._next is not None))
    assert most <= 3 and len(g._columns._windows) <= 2


def test_new_words_and_melodies_rebuild_the_prefix_and_rewinds_find_the_old_one(melody_model):
    g = melody_model.stream("warm piano", seed=7, max_rewind=60)
    twin = melody_model.stream("warm piano", seed=7)
    first = run(g, 25)
    act = g.set("dark strings", melody=torch.eye(12)[[4, 5]])
    run(g, 20), run(twin, 45)
    assert torch.equal(g.tokens[0, :act], twin.tokens[0, :act])
    assert torch.equal(g.tokens[:, : act - 3], twin.tokens[:, : act - 3])  # detail hears it sooner
    assert not torch.equal(g.tokens, twin.tokens)
    changed = g.tokens
    g.rewind(10)
    run(g, 10)
    assert torch.equal(g.tokens, changed)
    g.rewind(40)  # to before the change, which the settings still remember
    again = run(g, 20)
    assert torch.equal(again, first[:, 5 * HOP :])
    run(g, 20)
    assert torch.equal(g.tokens, changed)


def test_a_prompt_is_continued_and_may_be_left_out(model):
    start = model.stream("warm piano", seed=8, beat=beat)
    run(start, 10)
    codes = start.tokens[:, :10]
    g = model.stream("dark strings", seed=9, beat=beat, prompt=codes, form=Form(30))
    audio = run(g, 30)
    assert torch.equal(g.tokens[:, :10], codes) and not torch.equal(g.tokens[:, 10:20], codes)
    expected = reference(model, "dark strings", 30, 9, drain=True, prompt=codes)
    drained = model.stream("dark strings", seed=9, beat=beat, prompt=codes, form=Form(30, drain=True))
    run(drained, 30)
    assert torch.equal(drained.tokens, expected)  # the prompt is heard under the words, too
    with pytest.raises(ModelError, match="only begin it"):
        drained.go_on_from(codes)
    silent = model.stream("dark strings", seed=9, beat=beat, prompt=codes, emit_prompt=False, form=Form(30))
    assert silent.position == 10
    tail = run(silent, 20)
    assert torch.equal(silent.tokens, g.tokens)
    assert (tail - audio[:, 10 * HOP :]).abs().max() < 1e-6
    silent.rewind(20)
    assert torch.equal(run(silent, 20), tail)
    for bad in (codes[:3], codes[:, :0], codes + CARD, torch.zeros(K, WINDOW, dtype=torch.int64)):
        with pytest.raises(ModelError, match="prompt of shape"):
            model.stream("dark strings", prompt=bad)


def test_a_prompt_may_be_audio_at_any_rate(model):
    wave = torch.sin(torch.arange(9000) / 10) * 0.3
    codes = model.prompt_codes((wave, 32000))
    assert torch.equal(codes, model.codec.encode(wave[None, None, : 14 * HOP])[0])
    assert model.prompt_codes((wave.expand(2, -1), 48000)).shape == (K, 9)
    for bad in ((wave, 100), (wave[:5], 32000), (wave * torch.nan, 32000), "wave"):
        with pytest.raises(ModelError, match=r"allowed|NaN"):
            model.stream("dark strings", prompt=bad)


def test_two_step_guidance_is_the_same_function(model, melody_model):
    for each in (model, melody_model):
        one, two = (
            each.stream("warm piano", seed=4, form=Form(30, two_step=two_step)) for two_step in (False, True)
        )
        assert (run(one, 30) - run(two, 30)).abs().max() < 1e-4
        assert torch.equal(one.tokens, two.tokens)


def test_double_guidance_weighs_text_against_the_melody_alone(melody_model):
    melody = torch.eye(12)[[4, 5]]

    def tokens(guided, **sampling):
        g = melody_model.stream(
            "warm piano", melody=melody, seed=4, sampling=Sampling(**sampling), guided=guided, max_rewind=0
        )
        run(g, 15)
        return g.tokens

    plain = tokens(True)
    assert torch.equal(tokens("double"), plain)
    assert torch.equal(tokens("double", beta=1.0), plain)
    textless = melody_model.stream(None, melody=melody, seed=4)
    run(textless, 15)
    assert not torch.equal(tokens("double", beta=5.0), plain)
    with pytest.raises(ModelError, match="without it"):
        tokens(True, beta=2.0)


@pytest.mark.parametrize("frames", [0, 5, 19, 31])
@pytest.mark.parametrize("drain", [True, False])
def test_snapshots_of_windows_carry_on(model, melody_model, frames, drain):
    wave = torch.sin(torch.arange(16000) / 20) * 0.3
    for each, controls in (
        (model, {"beat": torch.tensor([beat(0)])}),
        (melody_model, {"melody": (wave, 16000)}),
    ):
        g = each.stream("piano", seed=11, max_rewind=5, form=Form(None, drain), **controls)
        run(g, frames)
        data = g.snapshot().to_bytes()
        expected = run(g, 30)
        fresh = each.stream(seed=0, sampling=OFF)
        fresh.restore(Snapshot.from_bytes(data))
        assert (run(fresh, 30) - expected).abs().max() < 1e-5
        assert torch.equal(fresh.tokens, g.tokens[:, fresh.first_frame :])


@pytest.mark.parametrize("kind", ["flatten", "partial", "flat first", "late"])
def test_patterns_of_a_finite_context_are_carried_on_and_rewound(kind):
    """Snapshots of snapshots, too: each begins at the first frame that its columns need."""
    model = make(3, **PATTERNS[kind], window=None, stride=None, context=16)
    whole = model.stream("warm piano", seed=6, beat=beat, max_rewind=4)
    audio = run(whole, 60)
    g = model.stream("warm piano", seed=6, beat=beat, max_rewind=4)
    for frames in (1, 3, 7, 13, 20):
        run(g, frames)
        exact = frames % 3 == 1
        data = g.snapshot(exact).to_bytes()
        run(g, 4)
        g.rewind(4)
        fresh = model.stream(seed=0, sampling=OFF, max_rewind=4)
        fresh.restore(Snapshot.from_bytes(data))
        fresh.set(beat=beat)
        again = run(fresh, 4)
        if exact:
            at = g.position * HOP
            assert (again - audio[:, at : at + 4 * HOP]).abs().max() < 1e-5
            assert torch.equal(fresh.tokens, whole.tokens[:, fresh.first_frame :][:, : fresh.tokens.shape[1]])
            Snapshot.from_bytes(fresh.snapshot(True).to_bytes()).check(model.spec)
    assert g.snapshot().base > 0


@pytest.mark.parametrize("kind", ["coarse_first", "grouped"])
def test_a_pattern_that_must_know_its_length_is_refused_without_one(kind):
    model = make(2, **PATTERNS[kind], window=None, stride=None)
    with pytest.raises(ModelError, match="must know its length"):
        model.stream("piano")
    g = model.stream("piano", form=Form(15))
    run(g, 3)
    fresh = model.stream(seed=0, form=Form(15))
    fresh.restore(Snapshot.from_bytes(g.snapshot().to_bytes()))
    run(g, 12), run(fresh, 12)
    assert g.tokens.shape == (K, 15) and torch.equal(g.tokens, fresh.tokens)


def test_generate_gives_what_the_stream_of_that_length_gives(model):
    out = model.generate("piano", seconds=0.73, seed=2, bpm=None)
    g = model.stream("piano", seed=2, form=Form(37, drain=True))
    assert torch.equal(out, run(g, 37)[:, : round(0.73 * 32000)])
