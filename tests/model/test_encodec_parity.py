"""Our EnCodec is transformers' EncodecModel: same codes, same waves, from the same (random) weights."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_keys import bandwidth_codebooks, encodec_spec, encodec_state
from descant.model.codec.encodec_spec import encodec_24khz, encodec_32khz
from descant.model.errors import ModelError
from tests.model.encodec_kit import (
    MONO_32KHZ,
    TINY,
    agree,
    error,
    ours_of,
    pair,
    random_codes,
    random_wave,
    streamed,
    varied,
)

TINY_FORMS: dict[str, dict[str, Any]] = {
    "causal": {},
    "non-causal": {"use_causal_conv": False},
    "identity skip, two residual layers": {"use_conv_shortcut": False, "num_residual_layers": 2},
    "constant pads, stereo": {"pad_mode": "constant", "audio_channels": 2},
    "half trimmed, odd ratios": {
        "trim_right_ratio": 0.5,
        "upsampling_ratios": [5, 3, 2],
        "target_bandwidths": [12.0],
    },
    "replicated": {
        "pad_mode": "replicate",
        "use_causal_conv": False,
        "upsampling_ratios": [3, 3],
        "target_bandwidths": [40.0],
    },
}


def compare(theirs: Any, ours: Encodec, n_samples: int, batch: int = 1) -> None:
    dtype = theirs.dtype
    allowed = 1e-10 if dtype == torch.float64 else 1e-5
    wave = random_wave(ours.spec.channels, n_samples, batch, n_samples, dtype)
    bandwidth = next(
        kbit
        for kbit, count in bandwidth_codebooks(theirs.config.to_dict()).items()
        if count == ours.spec.n_codebooks
    )
    with torch.no_grad():
        expected_codes = theirs.encode(wave, bandwidth=bandwidth).audio_codes[0]
        expected_wave = theirs.decode(expected_codes[None], [None]).audio_values
    assert agree(ours.encode(wave), expected_codes, dtype)
    assert expected_codes.shape[-1] < 4 or varied(expected_codes)
    decoded = ours.decode(expected_codes)
    assert decoded.shape == expected_wave.shape
    assert (decoded - expected_wave).abs().max() <= allowed * max(1.0, float(expected_wave.abs().max()))


@pytest.mark.parametrize("form", TINY_FORMS.values(), ids=TINY_FORMS.keys())
def test_tiny_forms(form: dict[str, Any]) -> None:
    theirs, ours = pair(**(TINY | form))
    for n_samples in (330, 641, 1280, 5001):
        compare(theirs, ours, n_samples, batch=2)


def test_24khz_geometry_at_every_bandwidth() -> None:
    theirs, ours = pair(torch.float32)
    assert ours.shape == encodec_24khz()
    count = sum(value.numel() for value in ours.parameters())
    # the published count keeps a gain beside each weight-normed direction
    gains = sum(value.numel() for name, value in theirs.named_parameters() if name.endswith("original0"))
    assert count + gains == 14_851_810
    table = bandwidth_codebooks(theirs.config.to_dict())
    assert table == {1.5: 2, 3.0: 4, 6.0: 8, 12.0: 16, 24.0: 32}
    compare(theirs, ours, 12_001)
    theirs.double()
    for bandwidth, n_codebooks in table.items():
        ours = ours_of(theirs, bandwidth)
        assert ours.shape == encodec_24khz(n_codebooks)
        compare(theirs, ours, 2401)


def test_32khz_geometry() -> None:
    theirs, ours = pair(torch.float32, **MONO_32KHZ)
    assert ours.shape == encodec_32khz()
    assert bandwidth_codebooks(theirs.config.to_dict()) == {2.2: 4}
    compare(theirs, ours, 8001)
    codes = random_codes(ours.shape, 12)
    with torch.no_grad():
        expected = theirs.decode(codes[None], [None]).audio_values
    assert error(streamed(ours, codes, 3), expected) <= 1e-5


def test_a_bandwidth_is_one_of_the_config_s() -> None:
    config = pair(**TINY)[0].config.to_dict() | {"target_bandwidths": [1.5, 3.0]}
    with pytest.raises(
        ModelError, match=r"of 2\.0 kbit/s .*allowed: 1\.5 \(4 codebooks\), 3 \(8 codebooks\)"
    ):
        encodec_spec(config, bandwidth=2.0)
    with pytest.raises(ModelError, match="together with 4 codebooks"):
        encodec_spec(config, 4, bandwidth=1.5)
    assert encodec_spec(config, bandwidth=3.0).n_codebooks == 8


@pytest.mark.parametrize(
    "change",
    [
        {"norm_type": "layer_norm"},
        {"pad_mode": "circular"},
        {"upsampling_ratios": None},
        {"codebook_size": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_config_that_is_none_is_refused(change: dict[str, Any]) -> None:
    config = pair(**TINY)[0].config.to_dict()
    with pytest.raises(ModelError, match="no config of an EnCodec"):
        encodec_spec(config | change)
    with pytest.raises(ModelError, match="no config of an EnCodec"):
        encodec_spec({key: value for key, value in config.items() if key not in change})


def old_spelling(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"original0": "weight_g", "original1": "weight_v"}
    return {
        re.sub(r"parametrizations\.weight\.(original[01])$", lambda found: names[found[1]], name): value
        for name, value in state.items()
    }


def test_both_weight_norm_spellings_and_fewer_codebooks() -> None:
    theirs, ours = pair(torch.float32, **TINY)
    state = theirs.state_dict()
    old = old_spelling(state)
    assert any(name.endswith("weight_g") for name in old) and set(old) != set(state)
    n_codebooks = ours.spec.n_codebooks
    for name, value in encodec_state(old, n_codebooks).items():
        assert torch.equal(value, ours.state_dict()[name])
    first = Encodec(encodec_spec(theirs.config.to_dict(), n_codebooks=1))
    first.load_state_dict(encodec_state(state, 1))
    wave = random_wave(1, 3000)
    assert torch.equal(first.encode(wave), ours.encode(wave)[:, :1])


def test_incomplete_weights_are_refused() -> None:
    theirs, ours = pair(**TINY)
    n_codebooks, state = ours.spec.n_codebooks, old_spelling(theirs.state_dict())
    with pytest.raises(ModelError, match="codebooks"):
        encodec_state(state, n_codebooks + 1)
    with pytest.raises(ModelError, match="asked for"):
        encodec_spec(theirs.config.to_dict(), n_codebooks + 1)
    del state["decoder.layers.0.conv.weight_v"]
    with pytest.raises(ModelError, match=r"decoder\.stages\.0\.weight_v"):
        encodec_state(state, n_codebooks)
