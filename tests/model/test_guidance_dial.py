"""Guidance as a dial: how often it runs, how it falls, what it costs off; and streams stay their replays."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descant.model import ModelError, Sampling, Snapshot, tiny_model
from descant.model.kernels.build import load
from descant.model.lm.linear import NATIVE_KERNELS

FULL = Sampling(guidance=3.0)
OFF = Sampling(guidance=1.0)
KERNELS = ["fp32", "native-fp32", "native-int8"]


@pytest.fixture(scope="module")
def tiny():
    torch.set_num_threads(1)
    return tiny_model()


@pytest.fixture(scope="module", params=KERNELS)
def model(request, tiny):
    if request.param in NATIVE_KERNELS and load().handle is None:
        pytest.skip(f"no native library: {load().reason}")
    model = copy.copy(tiny)
    model.lm = copy.deepcopy(tiny.lm)
    model.lm.use_kernel(request.param)
    return model


def every(n, scale=3.0, **more):
    return Sampling(guidance=scale, every=n, **more)


def run(stream, frames):
    return torch.cat([torch.zeros(1, 0), *(stream.step() for _ in range(frames))], dim=-1)


def begun(model, sampling, **more):
    return model.stream("warm piano", seed=3, sampling=sampling, guided=True, max_rewind=40, **more)


def test_every_first_is_the_usual_and_the_others_differ(model):
    usual, first, third, off = (run(begun(model, s), 30) for s in (FULL, every(1), every(3), OFF))
    assert torch.equal(usual, first)
    assert not torch.equal(usual, third) and not torch.equal(third, off)


def test_what_is_drawn_is_the_definition(tiny):
    """Between guided columns the last one's guidance is added again; computed from all columns at once."""
    from descant.model.sampling import column_seed, mix_guidance, sample

    g = begun(tiny, every(4))
    run(g, 14)
    columns = g.horizon + 1
    log, delays, special = g._log, g.spec.lm.delays, g.spec.lm.special
    rows = [[special if c - 1 - d < 0 else log.code(k, c - 1 - d) for c in range(columns)]
            for k, d in enumerate(delays)]  # fmt: skip
    tokens = torch.tensor(rows)
    with torch.inference_mode():
        logits = tiny.lm(
            tokens[None].expand(2, -1, -1), tiny.conditions("warm piano").guided(g.spec.lm.controls)
        )
    guidance = mix_guidance(logits[0], logits[1], 3.0) - logits[0]
    for s in range(columns - 1):
        mixed = logits[0][:, s] + guidance[:, s - s % 4]
        drawn = sample(mixed, Sampling(), torch.Generator().manual_seed(column_seed(3, s)))
        due = torch.tensor([s - delay >= 0 for delay in delays])
        assert torch.equal(drawn[due], tokens[due, s + 1])


def test_a_fall_ends_at_no_guidance_and_begins_where_it_is_told(model):
    falling = begun(model, every(1, 5.0, fall=20, fall_from=10))
    assert torch.equal(run(falling, 6), run(begun(model, every(1, 5.0)), 6))
    run(falling, 34)
    sampling = falling._settings.sampling(0)
    assert [sampling.at(f).guidance for f in (0, 10, 20, 30, 99)] == [5.0, 5.0, 3.0, 1.0, 1.0]
    assert not sampling.at(30).guides


moves = st.lists(
    st.tuples(
        st.integers(0, 14),
        st.integers(0, 30),
        st.sampled_from([OFF, FULL, every(2), every(5), every(8, 2.0), every(3, 4.0, fall=15, fall_from=9)]),
        st.sampled_from(["warm piano", "loud drums"]),
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves, st.sampled_from([OFF, every(4)]))
def test_whatever_is_turned_and_rewound_a_replay_is_the_same(model, moves, begin):
    """Live: steps, rewinds, changes. Then what was left of the changes, in a stream that never goes back."""
    live, left = begun(model, begin), []
    for frames, back, sampling, text in moves:
        run(live, frames)
        live.rewind(min(back, live.position - live.earliest))
        live.set(text, sampling=sampling)
        left = [change for change in left if change[0] < live.position] + [(live.position, sampling, text)]
    run(live, 12)
    again = begun(model, begin)
    for position, sampling, text in left:
        run(again, position - again.position)
        again.rewind(0)
        again.set(text, sampling=sampling)
    run(again, live.position - again.position)
    assert torch.equal(again.tokens, live.tokens)


@pytest.mark.parametrize("at", [3, 13, 30, 90])
def test_a_snapshot_goes_on_with_the_guidance_held(model, at):
    stream = begun(model, every(5))
    run(stream, at)
    other = begun(model, FULL)
    other.restore(Snapshot.from_bytes(stream.snapshot(exact=True).to_bytes()))
    assert torch.equal(run(other, 20), run(stream, 20))


def test_off_for_long_and_on_again_is_as_if_it_had_never_been_off(model):
    """Null rows that are far behind begin so far back that nothing before could be told."""
    kept, left = begun(model, OFF), begun(model, OFF)
    kept.keep_null_near(4)
    for stream in (kept, left):
        run(stream, 200)
    lags = [stream.keep_null_near(0) for stream in (kept, left)]
    if model.lm.batches:
        assert lags[0] <= 1 and lags[1] >= 200
    for stream in (kept, left):
        stream.set(sampling=every(3))
    assert torch.equal(run(kept, 30), run(left, 30))
    for stream in (kept, left):
        stream.rewind(30)
    assert torch.equal(run(kept, 30), run(left, 30))


def test_fewer_null_rows_are_run_where_they_may_lag(model):
    if not model.lm.batches:
        pytest.skip("torch's kernels run all rows together")
    rows = []
    for sampling in (FULL, every(4), OFF):
        stream = begun(model, sampling)
        calls = []
        step = type(model.lm).step_together

        def counted(columns, want_logits=True, calls=calls, step=step):
            calls.append(sum(tokens.numel() // tokens.shape[1] for tokens, _, _ in columns))
            return step(model.lm, columns, want_logits)

        model.lm.step_together = counted
        try:
            run(stream, 40)
        finally:
            del model.lm.step_together
        rows.append(sum(size > 1 for size in calls) / len(calls))
    assert rows[0] == 1.0 and rows[1] <= 0.3 and rows[2] == 0.0


@pytest.mark.parametrize("bad", [{"every": 0}, {"every": 17}, {"every": 1.5}, {"fall": -1}, {"every": True}])
def test_bad_dials_are_refused(bad):
    with pytest.raises(ModelError, match=f"Sampling {next(iter(bad))}"):
        Sampling(**bad)
