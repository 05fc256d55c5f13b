"""Streams: same seed same audio, rewinds without a seam, conditions at their frame, snapshots that go on."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model import ModelError, Sampling, Snapshot, tiny_model

HOP = 640
OFF = Sampling(guidance=1.0)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def other_model():
    return tiny_model(seed=1)


def run(generator, frames):
    return torch.cat([torch.zeros(1, 0), *(generator.step() for _ in range(frames))], dim=-1)


def columns_of(g, n_columns):
    """The first columns that a stream has filled, [K, n_columns], by the delay pattern's definition."""
    codes, delays, special = g._log, g.spec.lm.delays, g.spec.lm.special
    rows = [
        [special if c - 1 - d < 0 else codes.code(k, c - 1 - d) for c in range(n_columns)]
        for k, d in enumerate(delays)
    ]
    return torch.tensor(rows)


def beat(frame):
    return [math.cos(frame / 4), math.sin(frame / 4), math.cos(frame / 16), math.sin(frame / 16)]


def one_hot(pitch_class, frames=1):
    vectors = torch.zeros(frames, 12)
    vectors[:, pitch_class] = 1.0
    return vectors


def assert_audio_is_the_offline_decode(model, generator, audio):
    offline = model.codec.decode(generator.tokens[None])[0][:, : audio.shape[-1]]
    assert (audio - offline).abs().max() < 1e-6


def test_the_audio_is_the_offline_decode_of_the_tokens(model):
    g = model.stream("warm piano", seed=1, beat=beat)
    audio = run(g, 60)
    assert audio.shape == (1, 60 * HOP) and audio.dtype == torch.float32 and not audio.is_inference()
    assert g.position == 60 and g.tokens.shape == (4, 60 + model.spec.codec.lookahead_frames)
    assert audio.std() > 1e-3 and len(g.tokens.unique()) > 30
    assert_audio_is_the_offline_decode(model, g, audio)


def test_same_seed_same_audio_other_seed_other_audio(model):
    first, again, other = (run(model.stream("dub", seed=s), 20) for s in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_no_global_random_state_is_used_or_moved(model):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(model.stream("dub", seed=5), 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(run(model.stream("dub", seed=5), 5), first)


def test_tokens_are_what_the_full_forward_pass_with_guidance_would_draw(model):
    """Every drawn token, from the teacher-forced logits of the finished columns."""
    from descant.model.sampling import column_seed, mix_guidance, sample

    melody = torch.cat([one_hot(0, 10), one_hot(7, 10)])
    g = model.stream("warm piano", melody=melody, seed=2, beat=beat, max_rewind=0)
    run(g, 16)
    n_columns = g.horizon + 1
    tokens = columns_of(g, n_columns)
    rows = torch.tensor([beat(f) for f in range(n_columns)])
    conditions = model.conditions("warm piano", melody=melody[:n_columns], beat=rows)
    assert n_columns <= 24, "within the context"
    with torch.inference_mode():
        logits = model.lm(tokens[None].expand(2, -1, -1), conditions.guided(model.spec.lm.controls))
    mixed = mix_guidance(logits[0], logits[1], 3.0)
    for s in range(n_columns - 1):
        drawn = sample(mixed[:, s], Sampling(), torch.Generator().manual_seed(column_seed(2, s)))
        due = torch.tensor([s - delay >= 0 for delay in model.spec.lm.delays])
        assert torch.equal(drawn[due], tokens[due, s + 1])
        assert (tokens[~due, s + 1] == model.spec.lm.special).all()


@pytest.mark.parametrize("frames", [0, 1, 17, 40])
def test_a_rewind_with_unchanged_conditions_reproduces_every_token(model, frames):
    g = model.stream("warm piano", seed=3, max_rewind=40, beat=beat)
    run(g, 20)
    g.set("dark strings", chords=one_hot(4, 3))  # changes on the way are met again at their frames
    audio = run(g, 50)
    tokens = g.tokens
    g.rewind(frames)
    assert g.position == 70 - frames
    again = run(g, frames)
    assert torch.equal(g.tokens, tokens)
    assert torch.equal(again, audio[:, audio.shape[-1] - frames * HOP :])


def test_a_rewind_to_the_very_start_begins_anew(model):
    g = model.stream("warm piano", seed=3, max_rewind=40)
    first = run(g, 30)
    g.rewind(30)
    assert g.position == 0 and g.horizon == 0
    assert torch.equal(run(g, 30), first)


def test_a_rewind_with_a_new_prompt_changes_only_what_lies_after(model):
    g = model.stream("warm piano", seed=3, max_rewind=40)
    run(g, 60)
    before = g.tokens
    g.rewind(20)
    act = g.set("fast drums and distorted guitar")
    assert act == g.horizon == 40 + model.spec.codec.lookahead_frames
    run(g, 20)
    after = g.tokens
    assert torch.equal(before[:, :act], after[:, :act])
    assert (before[:, act:] != after[:, act:]).any()


@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 25), st.sampled_from([None, "", "loud drums", "soft piano"])
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=12, deadline=None)
def test_whatever_is_rewound_and_changed_there_is_no_seam(model, moves):
    g = model.stream("warm piano", seed=8, max_rewind=20)
    audio = torch.zeros(1, 0)
    for steps, back, text in moves:
        audio = torch.cat([audio, *(g.step() for _ in range(steps))], dim=-1)
        back = min(back, g.position - g.earliest)
        g.rewind(back)
        audio = audio[:, : g.position * HOP]
        g.set(text)
    audio = torch.cat([audio, run(g, 3)], dim=-1)
    assert audio.shape[-1] == g.position * HOP
    assert_audio_is_the_offline_decode(model, g, audio)


def test_rewinding_too_far_is_refused_and_changes_nothing(model):
    g = model.stream(seed=1, max_rewind=10, sampling=OFF)
    twin = model.stream(seed=1, max_rewind=10, sampling=OFF)
    run(g, 30), run(twin, 30)
    for bad in (11, -1, 2.0):
        with pytest.raises(ModelError) as error:
            g.rewind(bad)
        assert "0 to 10" in error.value.do
    assert torch.equal(run(g, 5), run(twin, 5))
    g.rewind(7)
    with pytest.raises(ModelError, match="back to frame 25"):
        g.rewind(4)
    run(g, 2)
    g.rewind(5)
    assert g.position == 25


def test_set_acts_from_the_frame_it_returns(model):
    kept, changed = (model.stream("piano", seed=4) for _ in range(2))
    run(kept, 10), run(changed, 10)
    act = changed.set(melody=one_hot(9))
    assert act == 10 + model.spec.codec.lookahead_frames + model.spec.lm.max_delay
    run(kept, 30), run(changed, 30)
    different = (kept.tokens != changed.tokens)[0].nonzero()
    assert different.numel() and int(different.min()) >= act
    first = (
        (kept.tokens != changed.tokens).int().argmax(dim=1)
    )  # finer codebooks are drawn later: they hear it sooner
    assert all(int(f) >= act - delay for f, delay in zip(first, model.spec.lm.delays))
    audible = (model.codec.decode(kept.tokens[None]) != model.codec.decode(changed.tokens[None])).nonzero()
    assert int(audible[:, 2].min()) >= 10 * HOP


def test_controls_are_aligned_to_the_next_frame_and_loop_or_end(model):
    table = torch.eye(12)[:5]

    def by_table(loop):
        g = model.stream(seed=4)
        run(g, 10)
        g.set(chords=table, loop=loop)
        run(g, 30)
        return g.tokens

    def by_function(loop):
        g = model.stream(seed=4)
        run(g, 10)

        def chords(frame):
            index = frame - 10
            return table[index % 5] if loop or index < 5 else torch.zeros(12)

        g.set(chords=chords)
        run(g, 30)
        return g.tokens

    assert torch.equal(by_table(True), by_function(True))
    assert torch.equal(by_table(False), by_function(False))
    assert not torch.equal(by_table(True), by_table(False))


def test_a_function_is_asked_once_a_frame_and_again_after_a_rewind(model):
    asked = []

    def chords(frame):
        asked.append(frame)
        return torch.zeros(12)

    g = model.stream(seed=4, chords=chords, max_rewind=10)
    run(g, 12)
    assert asked == list(range(g.horizon))
    asked.clear()
    end = g.horizon
    g.rewind(6)
    start = g.horizon
    run(g, 6)
    assert asked == list(range(start, end))


def test_a_function_that_fails_can_be_replaced_and_the_stream_goes_on(model):
    def broken(frame):
        return [math.nan] * 4 if frame == 20 else [0.0] * 4

    g, twin = model.stream(seed=4, beat=broken), model.stream(seed=4)
    with pytest.raises(ModelError, match=r"'beat' at frame 20"):
        run(g, 40)
    played = g.position
    g.set(beat=None)
    run(g, 40 - played), run(twin, 40)
    assert torch.equal(g.tokens, twin.tokens)


def test_unknown_controls_are_refused_with_the_list_and_nothing_changes(model):
    g, twin = model.stream("piano", seed=4), model.stream("piano", seed=4)
    for bad in (
        {"tempo": one_hot(0)},
        {"text": "drums", "chords": torch.zeros(3, 5)},
        {"text": "drums", "chords": torch.full((3, 12), math.nan)},
        {"text": "drums", "melody": (torch.full((32000,), math.nan), 32000)},
        {"chords": one_hot(1), "text": "x" * 100_000},
        {"text": 7},
        {"chords": "C major"},
    ):
        with pytest.raises(ModelError) as error:
            g.set(**bad)
        assert len(str(error.value).splitlines()) == 3
    with pytest.raises(ModelError, match="melody, chords, beat"):
        model.stream("piano", tempo=120)
    assert torch.equal(run(g, 10), run(twin, 10))


def test_text_and_sampling_can_change_in_mid_stream(model):
    g, twin = model.stream("piano", seed=4), model.stream("piano", seed=4)
    run(g, 8), run(twin, 8)
    g.set(sampling=Sampling(temperature=0.0))
    run(g, 12), run(twin, 12)
    assert not torch.equal(g.tokens, twin.tokens)
    g.set("drums", sampling=Sampling())
    twin.set(sampling=Sampling())
    assert not torch.equal(run(g, 10), run(twin, 10))


def test_the_null_row_sees_no_text_and_no_guided_control_but_keeps_the_beat(model):
    g = model.stream("piano", seed=4, melody=one_hot(2), chords=one_hot(5), beat=beat)
    g.step()
    row = g._settings.row
    frame = g.horizon - 1
    assert row[0, 2] == 1 and row[0, 12 + 5] == 1 and row[1, :24].abs().sum() == 0
    torch.testing.assert_close(row[1, 24:], torch.tensor(beat(frame)))
    keys = g._columns._windows[-1].rows.states[0].text.keys[0]
    assert keys.shape[0] == 1 and keys.abs().sum() > 0  # rows beyond the text's are null


def test_guidance_0_ignores_what_is_guided_and_1_ignores_the_null_row(model):
    nothing = run(model.stream(seed=4, sampling=Sampling(guidance=0.0)), 12)
    ignored = run(model.stream("drums", seed=4, melody=one_hot(1), sampling=Sampling(guidance=0.0)), 12)
    assert torch.equal(nothing, ignored)
    single = model.stream("drums", seed=4, sampling=OFF)
    double = model.stream("drums", seed=4, sampling=OFF, guided=True)
    run(single, 12), run(double, 12)
    assert torch.equal(single.tokens, double.tokens)
    assert not single.guided and double.guided
    double.set(sampling=Sampling(guidance=4.0))
    with pytest.raises(ModelError, match="started without guidance"):
        single.set(sampling=Sampling(guidance=4.0))


@pytest.mark.parametrize("frames", [0, 1, 15, 90])
def test_a_snapshot_carries_on_identically_in_a_fresh_stream(model, frames):
    g = model.stream("piano", seed=11, melody=one_hot(3, 7), beat=beat, max_rewind=5)
    run(g, frames // 2)
    g.set("dark strings", sampling=Sampling(top_k=20))
    run(g, frames - frames // 2)
    data = g.snapshot(exact=True).to_bytes()
    expected = run(g, 30)
    fresh = model.stream(seed=0, sampling=OFF)
    saved = Snapshot.from_bytes(data)
    assert saved.functions == ()
    fresh.restore(saved)
    fresh.set(beat=beat)  # functions do not travel
    assert fresh.position == frames and fresh.guided and fresh.seed == 11
    if frames:  # the function was asked for the frames up to the snapshot, it is the same from there on
        assert torch.equal(run(fresh, 30), expected)
        assert torch.equal(fresh.tokens, g.tokens[:, fresh.first_frame :])


def test_a_snapshot_amid_a_ride_stays_small_and_carries_on_identically(model):
    """A point that moves on a plane gives another blend of the same prompts every other frame."""
    g, plain = (model.stream("piano", seed=11, max_rewind=5) for _ in range(2))
    for frame in range(0, 120, 2):
        g.set(model.blend({"piano": 1.0 + frame, "dark strings": 2.0, "drums": 0.5 + 0.1 * frame}))
        for stream in (g, plain):
            run(stream, 2)
    saved = g.snapshot(exact=True)
    data, least = saved.to_bytes(), len(plain.snapshot(exact=True).to_bytes())
    again = Snapshot.from_bytes(data)
    held = [(frame, text) for frame, text in saved.texts if frame >= saved.base]
    assert len(held) > 20
    for (frame, text), (other_frame, other) in zip(held, again.texts[-len(held) :], strict=True):
        assert frame == other_frame
        assert torch.equal(text.states, other.states) and torch.equal(text.weights, other.weights)
    states = held[0][1].states.nbytes
    assert len(data) < least + 3 * states + 400 * len(held)  # not the prompts' states once for each move
    expected = run(g, 30)
    fresh = model.stream(seed=0, sampling=OFF)
    fresh.restore(again)
    assert torch.equal(run(fresh, 30), expected)


def test_a_snapshot_in_the_same_process_keeps_functions_and_is_not_changed_by_what_follows(model):
    g = model.stream("piano", seed=11, beat=beat, max_rewind=20)
    run(g, 20)
    saved = g.snapshot()
    assert saved.functions == ("beat",)
    expected = run(g, 20)
    g.rewind(15)
    g.set("drums")
    run(g, 5)
    g.restore(saved)
    assert torch.equal(run(g, 20), expected)
    g.rewind(20)
    with pytest.raises(ModelError, match="back to frame 20"):
        g.rewind(1)


def test_a_snapshot_keeps_codes_of_any_size(model):
    saved = model.stream("piano", seed=11).snapshot()
    for largest in (2**15 - 1, 2**15, 2**20):
        codes = tuple(torch.tensor([0, largest], dtype=torch.int32) for _ in saved.codes)
        again = Snapshot.from_bytes(replace(saved, codes=codes).to_bytes())
        assert all(torch.equal(a, b) for a, b in zip(again.codes, codes, strict=True))


def test_a_quick_snapshot_of_a_long_stream_is_small_and_keeps_the_audio_seamless(model):
    g = model.stream("piano", seed=11)
    head = run(g, 200)
    data = g.snapshot().to_bytes()
    assert len(data) < 40_000
    fresh = model.stream()
    fresh.restore(Snapshot.from_bytes(data))
    tail = run(fresh, 10)
    assert fresh.first_frame > 150
    joined = torch.cat([g.tokens[:, : fresh.first_frame], fresh.tokens], dim=-1)
    audio = torch.cat([head, tail], dim=-1)
    assert (audio - model.codec.decode(joined[None])[0][:, : audio.shape[-1]]).abs().max() < 1e-6


def test_snapshots_of_other_models_or_damaged_ones_are_refused(model, other_model):
    g = model.stream("piano", seed=11)
    run(g, 5)
    saved = g.snapshot()
    stranger = other_model.stream(seed=1)
    twin = other_model.stream(seed=1)
    with pytest.raises(ModelError, match="another model"):
        stranger.restore(saved)
    assert torch.equal(run(stranger, 3), run(twin, 3))
    data = saved.to_bytes()
    for damaged in (b"", b"x" * 100, data[:50], data[: len(data) // 2], data.replace(b"seed", b"sead")):
        with pytest.raises(ModelError, match="no snapshot"):
            Snapshot.from_bytes(damaged)


def test_a_snapshot_whose_numbers_disagree_changes_nothing(model):
    g, twin = model.stream("piano", seed=11), model.stream("piano", seed=11)
    run(g, 5), run(twin, 5)
    saved = g.snapshot()
    for change in (
        {"codes": saved.codes[1:]},
        {"codes": tuple(codes + 1000 for codes in saved.codes)},
        {"codes": tuple(codes[:2] for codes in saved.codes)},
        {"controls": saved.controls[:, 1:]},
        {"waiting": saved.waiting[0]},
        {"pushed": 60},
        {"base": 3},
        {"rows": 4},
        {"origin": 900},
        {"texts": ()},
        {"tracks": {}},
        {"texts": ((0, "x" * 5000),)},
        {"seed": -1},
        {"codec": {"value": None}},
    ):
        with pytest.raises(ModelError):
            g.restore(replace(saved, **change))
    assert torch.equal(run(g, 3), run(twin, 3))


def test_two_streams_of_one_model_do_not_touch_each_other(model):
    alone = run(model.stream("piano", seed=1), 20)
    a, b = model.stream("piano", seed=1), model.stream("drums", seed=2, sampling=OFF)
    mixed = []
    for _ in range(20):
        mixed.append(a.step())
        b.step()
    assert torch.equal(torch.cat(mixed, dim=-1), alone)


def test_a_long_stream_runs_beyond_every_ring_and_forgets_old_settings(model):
    g = model.stream(seed=1, sampling=OFF, max_rewind=8)
    for i in range(60):
        run(g, 10)
        g.set(chords=one_hot(i % 12))
    assert len(g._settings.tracks["chords"]) < 60
    audio = run(g, 5)
    offline = model.codec.decode(g.tokens[None])[0][:, 600 * HOP : 605 * HOP]
    assert (audio - offline).abs().max() < 1e-6


@pytest.mark.parametrize(
    "bad", [{"seed": -1}, {"max_rewind": -1}, {"max_rewind": 10**9}, {"max_rewind": 1.5}]
)
def test_bad_starts_are_refused(model, bad):
    with pytest.raises(ModelError, match="allowed"):
        model.stream("piano", **bad)
