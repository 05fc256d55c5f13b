"""Patterns are the published orders, and what goes into columns comes back; one column at a time or whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MusicgenForCausalLM
from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

from descant.model.errors import ModelError
from descant.model.patterns import (
    KINDS,
    CoarseFirstPattern,
    DelayPattern,
    FlattenPattern,
    GroupedPattern,
    Pattern,
    delayed,
    flattened,
    make_pattern,
    parallel,
)

SPECIAL = 99
LENGTHS = [1, 2, 3, 10, 1500]
CODEBOOKS = [1, 4, 8]
STEREO = (0, 0, 1, 1, 2, 2, 3, 3)
Order = list[list[tuple[int, int]]]  # columns of (frame, codebook); frames past the end are the drain


# The published orders, written out column by column as the papers' figures are read.


def written_delay(pattern: DelayPattern, n_frames: int) -> Order:
    order: Order = [[] for _ in range(1 + pattern.empty_initial)]
    flat = pattern.flatten_first
    codebooks = range(len(pattern.delays))
    order += [[(frame, k)] for frame in range(min(flat, n_frames)) for k in codebooks]
    for clock in range(flat, n_frames + max(pattern.delays)):
        late = [(clock - delay, k) for k, delay in enumerate(pattern.delays)]
        order.append([cell for cell in late if cell[0] >= flat])
    return order


def written_flatten(pattern: FlattenPattern, n_frames: int) -> Order:
    clock_end = n_frames + max(pattern.delays)
    timed: list[tuple[int, list[tuple[int, int]]]] = []
    for frame in range(clock_end):
        for step in range(max(pattern.flattening) + 1):
            members = [k for k, own in enumerate(pattern.flattening) if own == step]
            clock = frame + (pattern.delays[members[0]] if members else 0)
            if clock < clock_end:
                timed.append((clock, [(frame, k) for k in members]))
    return [[], *[cells for _, cells in sorted(timed)]]


def written_coarse_first(pattern: CoarseFirstPattern, n_frames: int) -> Order:
    order: Order = [[], *[[(frame, 0)] for frame in range(n_frames)]]
    fine = list(enumerate(pattern.delays))[1:]
    for clock in range(n_frames + max(pattern.delays) if fine else 0):
        order.append([(clock - delay, k) for k, delay in fine if clock >= delay])
    return order


def written_grouped(pattern: GroupedPattern, n_frames: int) -> Order:
    order: Order = [[]]
    for first in range(0, pattern.codebooks, pattern.group_by):
        for frame in range(n_frames):
            order += [[(frame, k)] for k in range(first, first + pattern.group_by)]
    return order


WRITTEN: dict[type, Callable[..., Order]] = {
    DelayPattern: written_delay,
    FlattenPattern: written_flatten,
    CoarseFirstPattern: written_coarse_first,
    GroupedPattern: written_grouped,
}


def written_layout(order: Order, n_codebooks: int, n_frames: int) -> torch.Tensor:
    layout = torch.full((n_codebooks, len(order)), -1)
    for column, cells in enumerate(order):
        for frame, codebook in cells:
            if frame < n_frames:
                layout[codebook, column] = frame
    return layout


def overrun(order: Order, n_frames: int) -> int:
    return max([frame + 1 for cells in order for frame, _ in cells], default=n_frames) - n_frames


# All patterns, drawn.

ascending = st.lists(st.integers(0, 6), min_size=1, max_size=8).map(lambda delays: tuple(sorted(delays)))


@st.composite
def flattenings(draw: st.DrawFn) -> FlattenPattern:
    steps = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6).map(sorted))
    delay_of = dict(
        zip(
            sorted(set(steps)),
            sorted(draw(st.lists(st.integers(0, 5), min_size=6, max_size=6))),
            strict=False,
        )
    )
    return FlattenPattern(tuple(steps), tuple(delay_of[step] for step in steps))


endless = st.one_of(
    ascending.map(DelayPattern),
    st.builds(DelayPattern, ascending, st.integers(0, 4), st.integers(0, 3)),
    flattenings(),
    st.integers(1, 6).map(lambda n: GroupedPattern(n, n)),
    st.just(CoarseFirstPattern((0,))),
)
bounded = st.one_of(
    st.lists(st.integers(0, 6), min_size=1, max_size=7).map(lambda d: CoarseFirstPattern((0, *sorted(d)))),
    st.tuples(st.integers(1, 3), st.integers(2, 3)).map(lambda g: GroupedPattern(g[0] * g[1], g[0])),
)
patterns = st.one_of(endless, bounded)


@given(patterns, st.integers(0, 20))
@settings(max_examples=300, deadline=None)
def test_every_pattern_is_its_written_order(pattern: Pattern, n_frames: int) -> None:
    order = WRITTEN[type(pattern)](pattern, n_frames)
    expected = written_layout(order, pattern.n_codebooks, n_frames)
    assert torch.equal(pattern.layout(n_frames), expected)
    assert torch.equal(pattern.holds(n_frames), expected >= 0)
    assert pattern.n_columns(n_frames) == len(order)
    assert bool((pattern.holds(n_frames).sum(1) == n_frames).all())
    if n_frames >= max(1, getattr(pattern, "flatten_first", 0)):
        learned = len(order) - overrun(order, n_frames)
        assert pattern.learned_columns(n_frames) == learned
        mask = pattern.learned(n_frames)
        for codebook in range(pattern.n_codebooks):
            seen = {frame for cells in order[:learned] for frame, k in cells if k == codebook}
            assert mask[codebook].tolist() == [frame in seen for frame in range(n_frames)]


@given(patterns, st.integers(0, 20), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_round_trip(pattern: Pattern, n_frames: int, batch: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 50, (batch, pattern.n_codebooks, n_frames), generator=draw)
    columns = pattern.to_columns(codes, SPECIAL)
    assert torch.equal(pattern.to_codes(columns, n_frames, n_frames), codes)
    assert bool((columns == SPECIAL).eq(~pattern.holds(n_frames)).all())
    if pattern.complete_frames(columns.shape[-1]) == n_frames:  # else a little more room than they need
        assert torch.equal(pattern.to_codes(columns), codes)


@given(patterns, st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_one_column_at_a_time_is_the_whole_layout(pattern: Pattern, n_frames: int) -> None:
    layout, places = pattern.layout(n_frames), pattern.column_of(n_frames)
    beyond = 5
    columns = [pattern.frames_at(column, n_frames) for column in range(layout.shape[1] + beyond)]
    assert all(type(frame) is int for column in columns for frame in column)
    assert columns[layout.shape[1] :] == [(-1,) * pattern.n_codebooks] * beyond
    assert torch.equal(torch.tensor(columns[: layout.shape[1]]).T, layout)
    for frame in range(n_frames):
        row = places[:, frame].tolist()
        assert [pattern.column_of_cell(frame, k, n_frames) for k in range(pattern.n_codebooks)] == row
        assert pattern.first_column_with(frame, n_frames) == min(row)
        assert pattern.complete_column(frame, n_frames) == max(row)
    if pattern.endless:
        for column, cells in enumerate(columns):
            free = pattern.frames_at(column)
            assert tuple(frame if frame < n_frames else -1 for frame in free) == cells
        for frame in range(n_frames):
            for codebook in range(pattern.n_codebooks):
                assert pattern.column_of_cell(frame, codebook) == places[codebook, frame]


@given(patterns, st.integers(0, 20), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_what_is_complete_depends_only_on_what_is_there(
    pattern: Pattern, n_frames: int, n_columns: int
) -> None:
    columns = pattern.to_columns(torch.arange(n_frames).expand(1, pattern.n_codebooks, -1), SPECIAL)
    n_columns = min(n_columns, columns.shape[-1])
    complete = pattern.complete_frames(n_columns, n_frames)
    assert complete == int((pattern.column_of(n_frames).amax(0) < n_columns).sum())
    first = pattern.to_codes(columns[..., :n_columns], None, n_frames)
    assert torch.equal(first, torch.arange(complete).expand(1, pattern.n_codebooks, -1))
    if pattern.endless:
        assert min(pattern.complete_frames(n_columns), n_frames) == complete
    else:
        assert pattern.complete_frames(columns.shape[-1]) == n_frames


@given(endless, st.integers(10**6, 10**12))
@settings(max_examples=200, deadline=None)
def test_endless_patterns_do_not_drift(pattern: Pattern, far: int) -> None:
    for codebook in range(pattern.n_codebooks):
        column = pattern.column_of_cell(far, codebook)
        assert pattern.frames_at(column)[codebook] == far
        assert pattern.column_of_cell(far + 7, codebook) == column + 7 * pattern.columns_per_frame
    for column in range(far, far + 2 * pattern.columns_per_frame):
        for codebook, frame in enumerate(pattern.frames_at(column)):
            assert frame == -1 or pattern.column_of_cell(frame, codebook) == column
    assert pattern.complete_frames(pattern.complete_column(far) + 1) == far + 1
    assert pattern.complete_frames(pattern.complete_column(far)) == far


@pytest.mark.parametrize("n_frames", LENGTHS)
@pytest.mark.parametrize("n_codebooks", CODEBOOKS)
def test_closed_forms(n_frames: int, n_codebooks: int) -> None:
    t, last, fine = n_frames, n_codebooks - 1, min(1, n_codebooks - 1)  # fine: a column, if there are any
    step, shifted = (0,) + (1,) * last, (0,) + (3,) * last
    drain = 3 * fine
    for pattern, columns, learned in [
        (parallel(n_codebooks), t + 1, t + 1),
        (delayed(n_codebooks), t + n_codebooks, t + 1),
        (delayed(n_codebooks, [k // 2 for k in range(n_codebooks)]), t + 1 + last // 2, t + 1),
        (flattened(n_codebooks), n_codebooks * t + 1, n_codebooks * t + 1),
        (flattened(n_codebooks, step), (1 + fine) * t + 1, (1 + fine) * t + 1),
        (flattened(n_codebooks, step, shifted), (1 + fine) * t + 1 + drain, (1 + fine) * t + 1),
        (CoarseFirstPattern((0,) * n_codebooks), (1 + fine) * t + 1, (1 + fine) * t + 1),
        (CoarseFirstPattern(shifted), (1 + fine) * t + 1 + drain, (1 + fine) * t + 1 + drain),
        (GroupedPattern(n_codebooks, min(2, n_codebooks)), n_codebooks * t + 1, n_codebooks * t + 1),
    ]:
        codes = torch.zeros(1, n_codebooks, t, dtype=torch.int64)
        assert pattern.to_columns(codes, SPECIAL).shape[-1] == pattern.n_columns(t) == columns, pattern
        assert pattern.learned_columns(t) == learned, pattern
    places = flattened(n_codebooks).column_of(t)
    rule = n_codebooks * torch.arange(t) + torch.arange(n_codebooks)[:, None] + 1
    assert torch.equal(places, rule)
    delays = torch.arange(n_codebooks)[:, None]
    assert torch.equal(delayed(n_codebooks).column_of(t), torch.arange(t) + 1 + delays)
    assert delayed(n_codebooks).learned(t).sum(1).tolist() == [max(0, t - k) for k in range(n_codebooks)]


def test_published_counts_for_30_seconds() -> None:
    for pattern, columns in [
        (parallel(4), 1501),
        (delayed(4), 1504),
        (delayed(8, STEREO), 1504),
        (flattened(4), 6001),
        (flattened(4, (0, 1, 1, 1)), 3001),
        (flattened(4, (0, 1, 1, 1), (0, 3, 3, 3)), 3004),
        (CoarseFirstPattern((0, 0, 0, 0)), 3001),
        (GroupedPattern(4, 2), 6001),
    ]:
        assert pattern.n_columns(1500) == columns
    assert delayed(4).learned_columns(1500) == 1501


def test_small_patterns_by_hand() -> None:
    codes = torch.tensor([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])
    s = SPECIAL

    def columns(pattern: Pattern) -> list[list[int]]:
        return pattern.to_columns(codes, s)[0].tolist()

    assert columns(delayed(3)) == [[s, 1, 2, 3, s, s], [s, s, 4, 5, 6, s], [s, s, s, 7, 8, 9]]
    assert columns(delayed(3, (0, 2, 2))) == [[s, 1, 2, 3, s, s], [s, s, s, 4, 5, 6], [s, s, s, 7, 8, 9]]
    assert columns(DelayPattern((0, 1, 1), flatten_first=1, empty_initial=1)) == [
        [s, s, 1, s, s, 2, 3, s],
        [s, s, s, 4, s, s, 5, 6],
        [s, s, s, s, 7, s, 8, 9],
    ]
    assert columns(flattened(3, (0, 1, 1), (0, 2, 2))) == [
        [s, 1, 2, s, 3, s, s, s, s],
        [s, s, s, 4, s, 5, s, 6, s],
        [s, s, s, 7, s, 8, s, 9, s],
    ]
    assert columns(CoarseFirstPattern((0, 0, 1))) == [
        [s, 1, 2, 3, s, s, s, s],
        [s, s, s, s, 4, 5, 6, s],
        [s, s, s, s, s, 7, 8, 9],
    ]


def test_stereo_pairs_share_their_columns() -> None:
    pattern = make_pattern("delay", 8, STEREO)
    assert pattern.frames_at(1) == (0, 0, -1, -1, -1, -1, -1, -1)
    assert pattern.frames_at(10**6) == tuple(10**6 - 1 - delay for delay in STEREO)
    assert torch.equal(pattern.layout(20)[::2], delayed(4).layout(20))
    assert torch.equal(pattern.layout(20)[1::2], delayed(4).layout(20))
    assert pattern.complete_column(5) == 5 + 1 + 3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("codebooks", [2, 4])
def test_the_delay_pattern_is_transformers(channels: int, codebooks: int) -> None:
    n_codebooks = codebooks * channels
    config = MusicgenDecoderConfig(
        vocab_size=50,
        num_hidden_layers=1,
        hidden_size=8,
        num_attention_heads=1,
        ffn_dim=8,
        num_codebooks=n_codebooks,
        audio_channels=channels,
        pad_token_id=SPECIAL,
        bos_token_id=SPECIAL,
    )
    theirs = MusicgenForCausalLM(config)
    pattern = delayed(n_codebooks, [k // channels for k in range(n_codebooks)])
    for n_frames, prompt in [(codebooks, 0), (6, 0), (6, 1), (9, 4), (40, 13), (40, 40)]:
        codes = torch.randint(0, 50, (2, n_codebooks, n_frames))
        given_rows = torch.cat([torch.full((2, n_codebooks, 1), SPECIAL), codes[..., :prompt]], dim=-1)
        ids, mask = theirs.build_delay_pattern_mask(
            given_rows.reshape(2 * n_codebooks, -1), SPECIAL, max_length=pattern.n_columns(n_frames)
        )
        free = codes.clone()
        free[..., prompt:] = -1
        ours = pattern.to_columns(free, SPECIAL)
        assert torch.equal(mask.view(ours.shape), ours)
        first = pattern.first_column_with(prompt, n_frames) if prompt < n_frames else prompt + 1
        assert torch.equal(ids.view(2, n_codebooks, -1), ours[..., :first])


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_training_never_sees_the_drain(n_frames: int) -> None:
    pattern = delayed(4)
    columns = pattern.to_columns(torch.zeros(1, 4, n_frames, dtype=torch.int64), SPECIAL)
    seen = columns[0, :, : pattern.learned_columns(n_frames)]
    assert bool((seen[0, 1:] != SPECIAL).all())
    assert int((seen != SPECIAL).sum()) == int(pattern.learned(n_frames).sum())


@pytest.mark.parametrize("n_frames", [1, 2, 4])
def test_a_piece_shorter_than_its_flat_start_is_learned_whole(n_frames: int) -> None:
    assert bool(DelayPattern((0, 1, 5), flatten_first=4).learned(n_frames)[:, :n_frames].all())


def test_a_pattern_of_each_kind() -> None:
    assert make_pattern("parallel", 4) == make_pattern("parallel", 4, (0, 0, 0, 0)) == parallel(4)
    assert make_pattern("delay", 4) == make_pattern("delay", 4, [0, 1, 2, 3]) == DelayPattern((0, 1, 2, 3))
    assert make_pattern("flatten", 3) == FlattenPattern((0, 1, 2), (0, 0, 0))
    partial = make_pattern("flatten", 4, (0, 3, 3, 3), (0, 1, 1, 1))
    assert partial == FlattenPattern((0, 1, 1, 1), (0, 3, 3, 3))
    assert make_pattern("coarse_first", 3) == CoarseFirstPattern((0, 0, 0))
    assert make_pattern("coarse_first", 3, (0, 1, 2)) == CoarseFirstPattern((0, 1, 2))
    assert make_pattern("delay", 2, flatten_first=3, empty_initial=1) == DelayPattern((0, 1), 3, 1)
    assert make_pattern("parallel", 2, empty_initial=2) == DelayPattern((0, 0), 0, 2)
    assert make_pattern("grouped", 4) == make_pattern("grouped", 4, (0,) * 4, group_by=2) == GroupedPattern(4)
    assert make_pattern("grouped", 4, group_by=1) == GroupedPattern(4, 1)
    assert [make_pattern(kind, 4).endless for kind in KINDS] == [True, True, False, True, False]
    assert [make_pattern(kind, 4).columns_per_frame for kind in KINDS] == [1, 4, 2, 1, 4]


@given(endless, st.integers(0, 20), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_no_frames_take_more_columns_than_the_most(pattern: Pattern, frame: int, more: int) -> None:
    first, last = pattern.complete_column(frame), pattern.complete_column(frame + more)
    assert last - first <= more * pattern.most_columns_per_frame


def test_refusals_name_the_value() -> None:
    codes = torch.zeros(1, 4, 8, dtype=torch.int64)
    coarse = CoarseFirstPattern((0, 0, 0, 0))
    refused: list[tuple[str, Callable[[], object]]] = [
        (r"\(1, 0\)", lambda: DelayPattern((1, 0))),
        (r"\(\)", lambda: DelayPattern(())),
        (r"\(-1, 0\)", lambda: DelayPattern((-1, 0))),
        (r"0\.5", lambda: DelayPattern((0, 0.5))),
        ("True", lambda: DelayPattern((0, True))),
        ("flatten_first is -1", lambda: DelayPattern((0, 1), flatten_first=-1)),
        ("empty_initial is 1.5", lambda: DelayPattern((0, 1), empty_initial=1.5)),
        ("3 delays", lambda: delayed(4, (0, 1, 2))),
        ("3 inner steps", lambda: flattened(4, (0, 1, 2))),
        ("2 delays were given for 3 inner", lambda: flattened(3, (0, 1, 2), (0, 0))),
        (r"Inner steps \(1, 0\)", lambda: flattened(2, (1, 0))),
        ("one delay", lambda: flattened(3, (0, 1, 1), (0, 1, 2))),
        (r"\(1, 2\)", lambda: CoarseFirstPattern((1, 2))),
        ("Groups of 3", lambda: GroupedPattern(4, 3)),
        ("Groups of 0", lambda: GroupedPattern(4, 0)),
        ("Groups of 3 were asked for of 4", lambda: make_pattern("grouped", 4, group_by=3)),
        ("Groups of 2 were given for the pattern 'delay'", lambda: make_pattern("delay", 4, group_by=2)),
        ('first, 2 were given .* for "delay" only', lambda: make_pattern("flatten", 4, flatten_first=2)),
        ('columns, 2 were .* "delay" and "parallel"', lambda: make_pattern("grouped", 4, empty_initial=2)),
        ("flatten_first is -1", lambda: make_pattern("delay", 4, flatten_first=-1)),
        ("the grouped pattern; allowed: zeros", lambda: make_pattern("grouped", 2, (0, 1))),
        ("'valle'; allowed: delay, flatten", lambda: make_pattern("valle", 4)),
        ("0 codebooks", lambda: make_pattern("delay", 0)),
        ("2 delays", lambda: make_pattern("coarse_first", 4, (0, 1))),
        ('for "flatten" only', lambda: make_pattern("delay", 2, (0, 1), (0, 1))),
        ("the parallel pattern; allowed: zeros", lambda: make_pattern("parallel", 2, (0, 1))),
        ("5 frames", lambda: delayed(4).to_codes(codes, 5)),
        (r"\[1, 3, 8\]", lambda: delayed(4).to_codes(codes[:, :3])),
        ("Column -1", lambda: delayed(4).frames_at(-1)),
        ("Frame 9 was asked for; allowed: 0..8 of 9", lambda: delayed(4).complete_column(9, 9)),
        ("Frame -1", lambda: delayed(4).first_column_with(-1)),
        ("Codebook 4", lambda: delayed(4).column_of_cell(0, 4)),
        ("-3 frames", lambda: delayed(4).layout(-3)),
        ("no length", lambda: coarse.frames_at(3)),
        ("no length", lambda: coarse.complete_column(3)),
        ("8 columns are no whole piece", lambda: coarse.to_codes(codes)),
        ("4 frames were asked for of 8 columns; 0..3", lambda: coarse.to_codes(codes, 4, length=4)),
    ]
    for match, call in refused:
        with pytest.raises(ModelError, match=match):
            call()
