"""The small parts of a stream: timelines, the column log, tracks, and states as plain data."""

import json
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from descant.model.code_log import CodeLog
from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.conditions.controls import Track, batch_controls, make_track
from descant.model.errors import ModelError
from descant.model.spec import ControlSpec, LmSpec
from descant.model.state_tree import flatten, unflatten
from descant.model.timeline import Timeline

SPEC = LmSpec(8, 1, 2, 8, 3, 50, (0, 1, 3))
CONTROL = ControlSpec("chords", 2)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers()), max_size=12), st.integers(0, 35))
def test_a_timeline_is_a_list_with_everything_behind_overwritten(changes, forget):
    line, plain = Timeline([(0, None)]), [None] * 40
    for frame, value in changes:
        line.set(frame, value)
        plain[frame:] = [value] * (40 - frame)
    assert [line.at(f) for f in range(40)] == plain
    line.forget_before(forget)
    assert [line.at(f) for f in range(forget, 40)] == plain[forget:]


@pytest.mark.parametrize("base", [0, 7])
def test_a_code_log_holds_each_codebook_to_its_own_end(base):
    log = CodeLog(3, 1, 4, base)
    frames = torch.randint(0, 50, (3, 60))
    for k, end in enumerate((50, 45, 48)):
        for f in range(base, end):
            log.add(k, int(frames[k, f]))
    assert (log.complete, log.horizon, log.ends()) == (45, 50, (50, 45, 48))
    assert torch.equal(log.frames(base, 45), frames[:, base:45]) and log.code(2, 47) == frames[2, 47]
    copy = CodeLog(3, 1, 4, 40)
    copy.fill(log.tails(40))
    assert copy.ends() == log.ends() and torch.equal(copy.frames(40, 45), frames[:, 40:45])
    log.keep(30)
    assert log.ends() == (30, 30, 30)
    log.extend(frames[:, 30:60])
    assert torch.equal(log.frames(base, 60), frames[:, base:])


def test_controls_of_the_latest_frames_are_remembered_until_they_are_cut():
    log = CodeLog(1, 2, 5)
    for frame in range(12):
        log.write_controls(frame, torch.tensor([frame, -frame]))
    assert log.controls(7, 12)[:, 0].tolist() == [7, 8, 9, 10, 11] and log.asked == 12
    log.keep(9)
    assert log.asked == 9 and log.control(8).tolist() == [8, -8]


def test_tracks_loop_or_end_and_begin_at_their_start():
    def values(track, frames):
        return [track.vector(frame, CONTROL)[0].item() for frame in frames]

    table = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
    assert values(make_track(CONTROL, table, 50.0, 4, True), range(3, 12)) == [0, 1, 2, 3, 1, 2, 3, 1, 2]
    assert values(make_track(CONTROL, table, 50.0, 4, False), range(3, 12)) == [0, 1, 2, 3, 0, 0, 0, 0, 0]
    assert values(make_track(CONTROL, lambda f: (f, 0), 50.0, 4, False), [3, 9]) == [3, 9]
    assert values(Track(), [5]) == [0]
    for bad in (lambda f: [1.0], lambda f: [float("nan"), 0.0], lambda f: "ab"):
        with pytest.raises(ModelError, match="'chords' at frame 2"):
            values(make_track(CONTROL, bad, 50.0, 0, True), [2])


def test_a_control_for_a_batch_is_shared_or_given_a_row_each():
    shared = batch_controls([CONTROL], {"chords": torch.ones(4, 2)}, 3, 50.0)["chords"]
    assert shared.shape == (3, 4, 2)
    with pytest.raises(ModelError, match="2 rows instead of 3"):
        batch_controls([CONTROL], {"chords": torch.ones(2, 4, 2)}, 3, 50.0)


@dataclass
class Part:
    memory: torch.Tensor
    n: int = 0
    name: str | None = None


@dataclass
class Whole:
    parts: list = field(default_factory=list)
    pair: tuple = ()
    ended: bool = False


def test_a_state_survives_as_json_and_tensors():
    state = Whole([Part(torch.randn(2, 3), 5, "x"), Part(torch.zeros(0))], (torch.arange(3), None), True)
    fresh = Whole([Part(torch.zeros(1)), Part(torch.zeros(1))], (torch.zeros(1), None))
    tensors: dict[str, torch.Tensor] = {}
    described = json.loads(json.dumps(flatten(state, tensors, "codec.")))
    state.parts[0].memory.zero_()
    back = unflatten(described, tensors, fresh)
    assert isinstance(back, Whole) and back.ended and back.parts[0].n == 5 and back.parts[0].name == "x"
    assert (
        back.parts[0].memory.abs().sum() > 0 and back.pair[0].tolist() == [0, 1, 2] and back.pair[1] is None
    )
    for strange in (Whole(), Part(torch.zeros(1)), torch.zeros(1), None):
        with pytest.raises(ModelError, match="does not fit"):
            unflatten(described, tensors, strange)


def test_an_encodec_stream_goes_on_from_its_state_as_plain_data():
    torch.manual_seed(0)
    codec = Encodec(EncodecSpec(16000, 1, 2, 8, True, (4, 2), 4, latent_dim=8)).eval()
    codes = torch.randint(0, 8, (1, 2, 30))
    stream, other = codec.decode_stream(1), codec.decode_stream(1)
    stream.push(codes[..., :13])
    tensors: dict[str, torch.Tensor] = {}
    described = json.loads(json.dumps(flatten(stream.snapshot(), tensors, "codec.")))
    other.restore(unflatten(described, tensors, other.snapshot()))
    assert torch.equal(stream.push(codes[..., 13:]), other.push(codes[..., 13:]))
