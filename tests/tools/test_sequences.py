"""Training sequences: a column is learned from those before it, each position sees its frame's controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model import Sampling, tiny_model
from descant.model.columns import Form
from descant.model.lm.music_lm import MusicLm
from descant.model.music_model import MusicModel
from descant.model.patterns import DelayPattern
from descant.model.spec import LmSpec, ModelSpec
from tools.train.export import CONTROLS
from tools.train.render import HOP, SAMPLE_RATE
from tools.train.sequences import (
    CAPTIONS,
    Batch,
    Dropout,
    Encoded,
    beat_control,
    controls_of,
    corrupt,
    draw_batch,
)
from tools.train.train_lm import SHAPES, losses, spec_for

PIECES, CODEBOOKS, FRAMES, WORDS = 3, 3, 240, 5
CODES = 4096  # more than any code below, so that each names its piece and frame
EVERYTHING = Dropout(0.0, 0.0, 0.0, 0.0)
NOTHING = Dropout(1.0, 1.0, 1.0, 1.0)


def spec_with(delays: Sequence[int]) -> LmSpec:
    return LmSpec(8, 1, 1, 8, CODEBOOKS, CODES, tuple(delays), "rope", 64, 4, CONTROLS)


SPEC = spec_with((0, 1, 2))


@pytest.fixture(scope="module")
def shard() -> Encoded:
    """Codes say where they came from: piece * 1000 + frame + codebook. Text states are the caption's row."""
    rng = np.random.default_rng(5)
    place = np.arange(PIECES)[:, None, None] * 1000 + np.arange(FRAMES)
    rows = np.arange(PIECES * CAPTIONS, dtype=np.float16)
    return Encoded(
        codes=(place + np.arange(CODEBOOKS)[None, :, None]).astype(np.int16),
        states=np.broadcast_to(rows[:, None, None], (len(rows), WORDS, 4)).copy(),
        lengths=rng.integers(1, WORDS + 1, len(rows)).astype(np.int16),
        melody=rng.integers(-1, 12, (PIECES, FRAMES)).astype(np.int8),
        chords=rng.integers(0, 4096, (PIECES, FRAMES)).astype(np.int16),
        tempo=np.array([60.0, 97.0, 180.0]),
        beats_per_bar=np.array([4, 3, 4]),
        family=["piano", "", "flute"],
    )


def draw(
    shard: Encoded, seed: int, dropout: Dropout, first_share: float, n_columns: int = 20, spec: LmSpec = SPEC
) -> Batch:
    return draw_batch([shard], spec, np.random.default_rng(seed), 4, n_columns, dropout, first_share)


def places(batch: Batch) -> list[tuple[int, int]]:
    """(piece, frame whose codebook 0 position 0 predicts) of every row."""
    return [divmod(int(code), 1000) for code in batch.targets[:, 0, 0]]


DELAYS = st.sampled_from([(0, 1, 2), (0, 0, 0), (0, 2, 5)])
STARTS = st.sampled_from([0.0, 1.0])  # share of sequences that begin as a stream does


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), delays=DELAYS, first_share=st.sampled_from([0.0, 0.5, 1.0]))
def test_targets_are_the_next_column(
    shard: Encoded, seed: int, delays: tuple[int, ...], first_share: float
) -> None:
    batch = draw(shard, seed, Dropout(), first_share, spec=spec_with(delays))
    assert batch.tokens.shape == batch.targets.shape == (4, CODEBOOKS, 20)
    following = batch.tokens[..., 1:].masked_fill(batch.tokens[..., 1:] == SPEC.special, -100)
    assert torch.equal(batch.targets[..., :-1], following)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), delays=DELAYS)
def test_a_first_start_is_a_stream_and_a_middle_one_is_full_of_codes(
    shard: Encoded, seed: int, delays: tuple[int, ...]
) -> None:
    spec = spec_with(delays)
    begun = draw(shard, seed, EVERYTHING, 1.0, spec=spec)
    assert bool((begun.tokens[..., 0] == spec.special).all())
    for row, (piece, frame) in enumerate(places(begun)):
        codes = torch.from_numpy(shard.codes[piece : piece + 1, :, frame : frame + 21].astype(np.int64))
        columns = DelayPattern(delays).to_columns(codes, spec.special)
        assert torch.equal(begun.tokens[row], columns[0, :, :20])
        assert torch.equal(begun.targets[row] == -100, columns[0, :, 1:21] == spec.special)
    middle = draw(shard, seed, EVERYTHING, 0.0, spec=spec)
    assert bool((middle.tokens < spec.special).all()) and bool((middle.targets >= 0).all())
    for row, (piece, frame) in enumerate(places(middle)):
        for k, delay in enumerate(delays):
            expected = piece * 1000 + k + frame - delay + torch.arange(20)
            assert torch.equal(middle.targets[row, k], expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), first_share=STARTS, delays=DELAYS)
def test_position_s_has_the_controls_of_the_frame_it_predicts(
    shard: Encoded, seed: int, first_share: float, delays: tuple[int, ...]
) -> None:
    batch = draw(shard, seed, EVERYTHING, first_share, spec=spec_with(delays))
    given_controls = {name: value.numpy() for name, value in batch.conditions.controls.items()}
    assert {name: value.shape for name, value in given_controls.items()} == {
        control.name: (4, 20, control.dim) for control in CONTROLS
    }
    for row, (piece, frame) in enumerate(places(batch)):
        frames = frame + np.arange(20)
        assert np.array_equal(
            given_controls["chords"][row], (shard.chords[piece, frames, None] >> np.arange(12)) & 1
        )
        tempo, beats_per_bar = float(shard.tempo[piece]), int(shard.beats_per_bar[piece])
        phases = beat_control(frame, 20, tempo, beats_per_bar)
        assert np.allclose(given_controls["beat"][row], phases, atol=1e-5)
        shifted = [
            shard.melody[piece, np.clip(frames + shift, 0, FRAMES - 1)][:, None] == np.arange(12)
            for shift in range(-3, 4)
        ]
        assert any(np.array_equal(given_controls["melody"][row], one_hot) for one_hot in shifted)


def test_the_melody_of_a_frame_is_shifted_whole_and_stops_at_the_edges(shard: Encoded) -> None:
    for shift in (-3, 0, 2):
        melody = controls_of(shard, 1, 0, FRAMES, shift)["melody"]
        expected = shard.melody[1, np.clip(np.arange(FRAMES) + shift, 0, FRAMES - 1)]
        assert np.array_equal(melody.sum(1) == 0, expected == -1)
        assert np.array_equal(melody.argmax(1)[expected >= 0], expected[expected >= 0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), first_share=STARTS)
def test_full_dropout_is_the_null_condition(shard: Encoded, seed: int, first_share: float) -> None:
    conditions = draw(shard, seed, NOTHING, first_share).conditions
    assert set(conditions.controls) == {control.name for control in CONTROLS}
    assert all(bool((value == 0).all()) for value in conditions.controls.values())
    assert conditions.text_mask is not None and not bool(conditions.text_mask.any())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["melody", "chords", "beat"]))
def test_dropout_takes_away_only_what_it_names(shard: Encoded, seed: int, name: str) -> None:
    whole = draw(shard, seed, EVERYTHING, 0.4)
    part = draw(shard, seed, Dropout(**{**vars(EVERYTHING), name: 1.0}), 0.4)
    assert torch.equal(part.tokens, whole.tokens)
    for control, value in part.conditions.controls.items():
        wanted = whole.conditions.controls[control]
        assert torch.equal(value, torch.zeros_like(wanted) if control == name else wanted)
    assert torch.equal(part.conditions.text_mask, whole.conditions.text_mask)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_text_is_one_of_the_piece_with_its_length_unmasked(shard: Encoded, seed: int) -> None:
    batch = draw(shard, seed, EVERYTHING, 0.4)
    text, mask = batch.conditions.text, batch.conditions.text_mask
    assert text is not None and mask is not None and text.shape[:2] == mask.shape
    longest = 0
    for row, (piece, _) in enumerate(places(batch)):
        caption = int(text[row, 0, 0])
        assert caption // CAPTIONS == piece
        length = int(shard.lengths[caption])
        assert mask[row].tolist() == [i < length for i in range(mask.shape[1])]
        longest = max(longest, length)
    assert mask.shape[1] == longest


def test_the_same_seed_draws_the_same_batch(shard: Encoded) -> None:
    a, b = draw(shard, 11, Dropout(), 0.4), draw(shard, 11, Dropout(), 0.4)
    assert torch.equal(a.tokens, b.tokens)
    for name, value in a.conditions.controls.items():
        assert torch.equal(value, b.conditions.controls[name])


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 2000), tempo=st.integers(40, 220), beats_per_bar=st.sampled_from([3, 4]))
def test_beat_phases_turn_once_a_beat_and_once_a_bar(first: int, tempo: int, beats_per_bar: int) -> None:
    control = beat_control(first, 64, float(tempo), beats_per_bar)
    assert control.shape == (64, 4) and control.dtype == np.float32
    assert np.allclose(control[:, 0] ** 2 + control[:, 1] ** 2, 1.0, atol=1e-5)
    assert np.allclose(control[:, 2] ** 2 + control[:, 3] ** 2, 1.0, atol=1e-5)
    beats = (first + np.arange(64)) * HOP / SAMPLE_RATE * tempo / 60.0
    for column, period in ((0, 1.0), (2, float(beats_per_bar))):
        phase = np.arctan2(control[:, column + 1], control[:, column]) / (2 * np.pi)
        away = (phase - beats / period + 0.5) % 1.0 - 0.5
        assert np.abs(away).max() < 1e-4
    assert np.array_equal(control[10:], beat_control(first + 10, 54, float(tempo), beats_per_bar))


def test_beat_phases_at_places_one_knows() -> None:
    control = beat_control(0, 201, 60.0, 4)  # a beat is 50 frames, a bar 200
    assert control[0] == pytest.approx([1, 0, 1, 0], abs=1e-6)
    assert control[25] == pytest.approx([-1, 0, np.cos(np.pi / 4), np.sin(np.pi / 4)], abs=1e-6)
    assert control[50] == pytest.approx([1, 0, 0, 1], abs=1e-6)
    assert control[100] == pytest.approx([1, 0, -1, 0], abs=1e-6)
    assert control[200] == pytest.approx([1, 0, 1, 0], abs=1e-6)


def test_corruption_hits_inputs_only_where_it_may_and_is_seeded() -> None:
    tokens = torch.randint(0, 50, (40, 3, 200), generator=torch.Generator().manual_seed(0))
    kept = tokens.clone()
    once = corrupt(tokens, 50, np.random.default_rng(1))
    assert torch.equal(tokens, kept)  # the targets' tokens are left alone
    assert torch.equal(once, corrupt(tokens, 50, np.random.default_rng(1)))
    assert int(once.min()) >= 0 and int(once.max()) == 50
    changed = (once != tokens).float().mean(dim=(1, 2))
    assert float(changed.min()) < 0.05 and 0.25 < float(changed.max()) < 0.6
    assert bool((once[:, :, 0] == tokens[:, :, 0]).any())


@pytest.mark.parametrize("pattern", sorted(SHAPES))
def test_a_model_trained_with_any_pattern_learns_and_streams_through_the_same_generator(pattern: str) -> None:
    """A line of codes that repeats every 5 frames: learnt from sequences, then drawn by a stream."""
    rng, frames = np.random.default_rng(0), 240
    tiny = tiny_model()
    line = np.array([[3, 50, 20, 9, 33], [7, 1, 60, 22, 40], [11, 2, 30, 5, 18], [6, 44, 12, 61, 27]])
    shard = Encoded(
        codes=np.tile(line, (2, 1, frames // 5)).astype(np.int16),
        states=np.zeros((2 * CAPTIONS, 1, 384), np.float16),
        lengths=np.ones(2 * CAPTIONS, np.int16),
        melody=np.zeros((2, frames), np.int8),
        chords=np.zeros((2, frames), np.int16),
        tempo=np.array([120.0, 120.0]),
        beats_per_bar=np.array([4, 4]),
        family=["", ""],
    )
    spec = replace(spec_for(4, 64, 64, 2, pattern), window=None if pattern != "coarse_first" else 31)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lm = MusicLm(spec)
        optimiser = torch.optim.AdamW(lm.parameters(), lr=4e-3)
        lm.train()
        for _ in range(60):
            batch = draw_batch([shard], spec, rng, 4, 62, Dropout(0.5, 0.5, 0.5, 0.5))
            loss = losses(lm, batch).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert float(loss.detach()) < 0.5
    model = MusicModel(ModelSpec("line", tiny.spec.codec, spec), tiny.codec, lm.eval(), tiny.text, "0" * 64)
    g = model.stream(
        None, seed=1, sampling=Sampling(temperature=0.0, guidance=1.0), form=Form(31)
    )  # coarse first must be as long as what it learnt
    for _ in range(31):
        g.step()
    drawn = g.tokens.numpy()
    start = int(np.flatnonzero(line[0] == drawn[0, 5])[0])
    expected = np.stack([np.roll(row, -start)[np.arange(15) % 5] for row in line])
    assert (drawn[:, 5:20] == expected).mean() > 0.9
