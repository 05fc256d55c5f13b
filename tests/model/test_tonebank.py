"""The shipped codec's form: exact streaming, causality, its lookahead, at tiny width with random weights."""

from __future__ import annotations

import pytest
import torch

from descant.model.codec.codec import Codec
from descant.model.codec.tonebank import TonebankCodec, TonebankSpec

SPEC = TonebankSpec(
    32000, 1, 640, 3, 16, 320, width=24, ffn_width=32, encoder_blocks=1, decoder_blocks=2, latent_dim=8
)


@pytest.fixture(scope="module")
def codec() -> TonebankCodec:
    torch.manual_seed(3)
    made = TonebankCodec(SPEC).eval()
    made.quantizer.codebooks.normal_()
    for block in made.decoder.blocks:
        torch.nn.init.normal_(block.scale, 1.0, 0.1)  # random blocks matter, or a lost history would not show
    made.synthesis.head.bias.data.fill_(-3.0)
    return made


def random_codes(n_frames: int, batch: int = 1) -> torch.Tensor:
    return torch.randint(0, 16, (batch, 3, n_frames), generator=torch.Generator().manual_seed(n_frames))


def test_it_answers_to_the_codec_protocol(codec: TonebankCodec) -> None:
    assert isinstance(codec, Codec)
    assert codec.decode(random_codes(5, 2)).shape == (2, 1, 5 * 640)
    assert codec.encode(torch.zeros(2, 1, 1281)).shape == (2, 3, 3)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("n_frames", [1, 2, 5, 8, 300])
def test_a_stream_is_the_offline_decode(codec: TonebankCodec, chunk: int, n_frames: int) -> None:
    codes = random_codes(n_frames)
    whole = codec.decode(codes)
    whole_scale = max(1.0, float(whole.abs().max()))
    stream = codec.decode_stream()
    parts = [stream.push(part) for part in codes.split(chunk, dim=-1)]
    for i in range(len(parts)):
        given = sum(p.shape[-1] for p in parts[: i + 1])
        pushed = min(n_frames, (i + 1) * chunk)
        assert given == pushed * 640 - SPEC.lookahead
    joined = torch.cat([*parts, stream.flush()], dim=-1)
    assert joined.shape == whole.shape
    assert float((joined - whole).abs().max()) <= 1e-6 * whole_scale


def test_the_signal_is_not_trivial(codec: TonebankCodec) -> None:
    assert float(codec.decode(random_codes(50)).std()) > 1e-3


def test_a_restored_stream_goes_on_as_before(codec: TonebankCodec) -> None:
    codes = random_codes(20)
    stream = codec.decode_stream()
    stream.push(codes[..., :9])
    kept = stream.snapshot()
    first = stream.push(codes[..., 9:])
    stream.flush()
    stream.restore(kept)
    again = stream.push(codes[..., 9:])
    assert torch.equal(first, again)
    other = codec.decode_stream()
    other.restore(kept)
    assert torch.equal(other.push(codes[..., 9:]), first)


def test_two_streams_do_not_disturb_each_other(codec: TonebankCodec) -> None:
    a, b = random_codes(12), (random_codes(12) + 5) % 16
    streams = codec.decode_stream(), codec.decode_stream()
    outs: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    for i in range(12):
        for stream, codes, out in zip(streams, (a, b), outs):
            out.append(stream.push(codes[..., i : i + 1]))
    for codes, out in zip((a, b), outs):
        whole = codec.decode(codes)
        joined = torch.cat(out, dim=-1)
        assert float((joined - whole[..., : joined.shape[-1]]).abs().max()) <= 1e-6 * max(
            1.0, float(whole.abs().max())
        )


def test_a_stream_that_was_flushed_refuses_more(codec: TonebankCodec) -> None:
    stream = codec.decode_stream()
    stream.push(random_codes(2))
    stream.flush()
    with pytest.raises(ValueError, match="flushed"):
        stream.push(random_codes(1))


def test_the_decoder_sees_no_more_than_its_lookahead(codec: TonebankCodec) -> None:
    latent = torch.randn(1, 8, 12, requires_grad=True)
    wave = codec.reconstruct(latent)
    frame = 6
    (gradient,) = torch.autograd.grad(wave[0, 0, : frame * 640 + 640 - SPEC.lookahead].square().sum(), latent)
    assert float(gradient[..., frame + 1 :].abs().max()) == 0.0
    assert float(gradient[..., frame].abs().max()) > 0.0


def test_the_encoder_sees_no_more_than_its_lookahead(codec: TonebankCodec) -> None:
    wave = torch.randn(1, 1, 640 * 12, requires_grad=True)
    frame = 5
    (gradient,) = torch.autograd.grad(codec.latent(wave)[..., frame].square().sum(), wave)
    end = (frame + 1) * 640 + SPEC.analysis_lookahead
    assert float(gradient[..., end:].abs().max()) == 0.0
    assert float(gradient[..., end - 320 : end].abs().max()) > 0.0
    assert SPEC.analysis_lookahead <= 0.03 * SPEC.sample_rate
    assert SPEC.lookahead <= 0.03 * SPEC.sample_rate


def test_a_steady_tone_stays_one_line() -> None:
    """A constant output of the network is a pure tone: no sidebands at the frame rate."""
    torch.manual_seed(0)
    codec = TonebankCodec(SPEC).eval()
    head = codec.synthesis.head
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-30.0)
        n = SPEC.n_tones
        head.bias[n : 2 * n] = 0.0
        tone = 2 * 12 * 4  # A4: four octaves above 27.5 Hz
        head.bias[tone] = -2.0
        wave = codec.reconstruct(torch.zeros(1, 8, 60))[0, 0, 3200:-3200]
    spectrum = torch.fft.rfft(wave * torch.hann_window(wave.shape[0])).abs()
    hz = torch.arange(spectrum.shape[0]) * 32000 / wave.shape[0]
    peak = int(spectrum.argmax())
    assert abs(float(hz[peak]) - 440.0) < 1.0
    away = spectrum[(hz - 440.0).abs() > 8.0]
    assert float(away.max()) < 1e-4 * float(spectrum[peak])
