"""EnCodec's decoder in the native library: the stages' function, the same bits however a stream is cut."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.model.codec.stereo import StereoCodec
from descant.model.errors import ModelError
from descant.model.kernels.frame import FrameDecoder
from descant.model.kernels.frame_plan import FrameState, fits
from tests.model.encodec_kit import CAUSAL, FINE, LIVE, NON_CAUSAL, error, make, random_codes, streamed
from tests.model.test_encodec import tiny_shapes

FORMS = {"24 kHz": CAUSAL, "32 kHz": NON_CAUSAL, "no edge": LIVE, "short": FINE}


def native(shape, kernel="native-fp32"):
    """A codec of that shape in float32, and the same on a native kernel."""
    stages = make(shape, torch.float32)
    codec = copy.deepcopy(stages)
    codec.use_kernel(kernel)
    return stages, codec


@pytest.mark.parametrize("shape", FORMS.values(), ids=FORMS)
def test_it_is_the_stages_function_and_its_frames_do_run_there(shape, monkeypatch):
    stages, codec = native(shape)
    ran = []
    run = FrameDecoder.run

    def counted(self, latent, state):
        ran.append(state.frames)
        return run(self, latent, state)

    monkeypatch.setattr(FrameDecoder, "run", counted)
    codes = random_codes(shape, 40)
    assert error(codec.decode(codes), stages.decode(codes)) < 2e-6
    assert len(ran) >= 30


@given(tiny_shapes(), st.integers(0, 20), st.lists(st.integers(0, 6), max_size=6), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_any_shape_that_it_takes_on_streams_to_the_bit_at_any_cuts(shape, n_frames, cuts, batch):
    stages, codec = native(replace(shape, n_residual_layers=min(1, shape.n_residual_layers)))
    assert fits(codec.decoder)
    codes = random_codes(shape, n_frames, batch)
    wave = codec.decode(codes)
    assert error(wave, stages.decode(codes)) < 1e-5
    assert torch.equal(streamed(codec, codes, cuts), wave)
    assert error(codec.decode(codes[:1]), wave[:1]) < 1e-5  # whoever shares the batch


@pytest.mark.parametrize("shape", [CAUSAL, NON_CAUSAL], ids=["24 kHz", "32 kHz"])
def test_it_may_end_anywhere_and_go_on_from_a_snapshot(shape):
    _, codec = native(shape)
    codes = random_codes(shape, 17)
    stream, waves, inside = codec.decode_stream(), [], 0
    for frame in range(17):
        before = stream.snapshot()
        inside += isinstance(before.stages, FrameState)
        assert torch.equal(torch.cat([*waves, stream.flush()], -1), codec.decode(codes[..., :frame]))
        stream.restore(before)
        waves.append(stream.push(codes[..., frame : frame + 1]))
    assert inside >= 8
    assert torch.equal(torch.cat([*waves, stream.flush()], -1), codec.decode(codes))


def test_weights_in_half_precision_make_noise_sixty_decibels_below_the_music():
    stages, codec = native(NON_CAUSAL, "native-int8")
    codes = random_codes(NON_CAUSAL, 200)
    wave = stages.decode(codes)
    noise = codec.decode(codes) - wave
    assert 0 < noise.square().mean() < 10 ** (-6.0) * wave.square().mean()
    codec.use_kernel("fp32")
    assert torch.equal(codec.decode(codes), wave)


def test_weights_beyond_half_precision_stay_whole():
    stages = copy.deepcopy(make(FINE, torch.float32))
    with torch.no_grad():
        stages.decoder.stages[0].weight.mul_(1e6)
        stages.decoder.stages[1].lstm.weight_ih_l0.mul_(1e-6)
    codec = copy.deepcopy(stages)
    codec.use_kernel("native-int8")
    codes = random_codes(FINE, 30)
    wave = stages.decode(codes)
    assert (codec.decode(codes) - wave).square().mean() < 10 ** (-6.0) * wave.square().mean()


def test_a_stereo_codec_runs_its_two_rows_there():
    stages, mono = native(NON_CAUSAL)
    codec, wanted = StereoCodec(mono), StereoCodec(stages)
    codes = random_codes(NON_CAUSAL, 20).repeat_interleave(2, 1)
    codes[:, 1::2] = random_codes(NON_CAUSAL, 20, seed=5)
    assert error(codec.decode(codes), wanted.decode(codes)) < 2e-6


def test_a_stream_begun_on_torch_goes_on_there_and_decoders_it_does_not_know_run_on_torch():
    stages, codec = native(NON_CAUSAL)
    codes = random_codes(NON_CAUSAL, 30)
    stream = stages.decode_stream()
    first = stream.push(codes[..., :12])
    taken = codec.decode_stream()
    taken.restore(stream.snapshot())
    wave = torch.cat([first, taken.push(codes[..., 12:]), taken.flush()], -1)
    assert error(wave, stages.decode(codes)) < 2e-6
    dilated = make(replace(FINE, n_residual_layers=2), torch.float32)
    other = copy.deepcopy(dilated)
    other.use_kernel("native-int8")
    assert torch.equal(other.decode(codes[..., :9]), dilated.decode(codes[..., :9]))
    with pytest.raises(ModelError, match="It runs on torch"):
        FrameDecoder(dilated.decoder, half=True)


def test_a_kernel_that_is_none_is_refused_and_changes_nothing():
    stages, codec = native(FINE)
    with pytest.raises(ModelError, match="no kernel 'int3'"):
        codec.use_kernel("int3")
    codes = random_codes(FINE, 9)
    assert error(codec.decode(codes), stages.decode(codes)) < 2e-6
