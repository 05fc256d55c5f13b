"""Prefixes, prefill, blended text and padding: our decoder against transformers' and against itself."""

import math

import pytest
import torch

from descant.model.checkpoints.musicgen_keys import from_musicgen
from descant.model.errors import ModelError
from descant.model.lm.inputs import LmInputs
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import ControlSpec, LmSpec

N_CHROMA, LENGTH = 5, 7
MELODY = ControlSpec("melody", N_CHROMA, form="prefix", length=LENGTH, null=0)
PREFIX = LmSpec(32, 3, 2, 128, 4, 30, (0, 1, 2, 3), text_dim=8, controls=(MELODY,), text_form="prefix")
CROSS = LmSpec(32, 3, 2, 128, 4, 30, (0, 1, 2, 3), text_dim=8)


def make(spec, seed=0):
    torch.manual_seed(seed)
    lm = MusicLm(spec).eval()
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.normal_(0.0, 0.2)
    return lm.requires_grad_(False)


@pytest.fixture(scope="module")
def melody_pair():
    from transformers import MusicgenMelodyDecoderConfig, MusicgenMelodyForCausalLM

    torch.manual_seed(3)
    config = MusicgenMelodyDecoderConfig(
        vocab_size=30,
        hidden_size=32,
        ffn_dim=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_codebooks=4,
        max_position_embeddings=64,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        layerdrop=0.0,
        pad_token_id=30,
        bos_token_id=30,
    )
    theirs = MusicgenMelodyForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0.0, 0.2)
    ours = make(PREFIX)
    missing, unexpected = ours.load_state_dict(from_musicgen(theirs.state_dict(), PREFIX), strict=False)
    assert set(missing) == {
        "text_proj.weight",
        "text_proj.bias",
        "prefix_proj.melody.weight",
        "prefix_proj.melody.bias",
    }
    assert not unexpected
    return theirs, ours


@pytest.mark.parametrize("with_text", [True, False])
@pytest.mark.parametrize("with_melody", [True, False])
def test_melody_models_logits_are_transformers(melody_pair, with_text, with_melody):
    theirs, ours = melody_pair
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 31, (2, 4, 40), generator=draw)
    text, mask = torch.randn(2, 5, 8, generator=draw), torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    bins = torch.randint(0, N_CHROMA, (2, LENGTH), generator=draw)
    melody = torch.nn.functional.one_hot(bins if with_melody else torch.zeros_like(bins), N_CHROMA).float()
    parts = [ours.prefix_proj["melody"](melody)]
    parts.append(ours.text_proj(text) * mask[..., None] if with_text else torch.zeros(2, 1, 32))
    with torch.inference_mode():
        expected = theirs(
            input_ids=tokens.reshape(8, 40), encoder_hidden_states=torch.cat(parts, dim=1)
        ).logits.view(2, 4, -1, 30)[:, :, -40:]
        controls = {"melody": melody} if with_melody else {}
        given = LmInputs(text if with_text else None, mask if with_text else None, controls)
        got = ours(tokens, given)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("spec", [PREFIX, CROSS], ids=["prefix", "cross"])
@pytest.mark.parametrize("kernel", ["fp32", "fp16"])
def test_prefill_and_steps_equal_the_whole(spec, kernel):
    lm = make(spec, 1)
    lm.use_kernel(kernel)
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 31, (2, 4, 300), generator=draw)
    text, mask = torch.randn(2, 6, 8, generator=draw), torch.ones(2, 6, dtype=torch.bool)
    mask[1] = False  # the null row
    given = LmInputs(text, mask)
    expected = lm(tokens, given)
    state = lm.new_state(2, 400)
    lm.begin(state, lm.prefix(given, 2))
    lm.set_text(state, text, mask)
    got, position = [], 0
    for many in (1, 260, 3, 36):  # more and less than a chunk, steps between
        lm.prefill(tokens[:, :, position : position + many - 1], None, state)
        position += many
        assert state.position == position - 1
        got.append((position - 1, lm.step(tokens[:, :, position - 1], None, state)))
    close = 1e-4 if kernel == "fp32" else 2e-2
    for column, logits in got:
        torch.testing.assert_close(logits, expected[:, :, column], rtol=0, atol=close)
    state.rewind(39)
    lm.prefill(tokens[:, :, 261:270], None, state)
    again = lm.step(tokens[:, :, 270], None, state)
    torch.testing.assert_close(again, expected[:, :, 270], rtol=0, atol=close)


def test_a_model_with_frame_controls_prefills_with_them():
    lm = make(LmSpec(32, 2, 2, 64, 4, 30, (0, 1, 2, 3), "rope", None, controls=(ControlSpec("beat", 3),)), 2)
    draw = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, 31, (1, 4, 20), generator=draw)
    beat = torch.randn(1, 20, 3, generator=draw)
    expected = lm(tokens, LmInputs(controls={"beat": beat}))
    state = lm.new_state(1, 64)
    lm.prefill(tokens[:, :, :19], beat[:, :19], state)
    got = lm.step(tokens[:, :, 19], {"beat": beat[:, 19]}, state)
    torch.testing.assert_close(got, expected[:, :, 19], rtol=0, atol=1e-5)


def test_the_room_of_a_prefix_and_its_columns_is_bounded():
    lm = make(PREFIX)
    state = lm.new_state(1, 12)
    lm.begin(state, lm.prefix(LmInputs(), 1))  # 7 + 1 null text
    lm.prefill(torch.zeros(1, 4, 4, dtype=torch.int64), None, state)
    with pytest.raises(ModelError, match="12 columns"):
        lm.step(torch.zeros(1, 4, dtype=torch.int64), None, state)


def test_blended_text_weighs_tokens_in_forward_and_steps_alike():
    lm = make(CROSS, 3)
    draw = torch.Generator().manual_seed(3)
    tokens, text = torch.randint(0, 31, (1, 4, 6), generator=draw), torch.randn(1, 6, 8, generator=draw)
    alone = lm(tokens, LmInputs(text[:, :3]))
    weights = torch.tensor([[0.999999, 0.000001]]).log().repeat_interleave(3, dim=1)
    almost = lm(tokens, LmInputs(text, text_bias=weights))
    torch.testing.assert_close(almost, alone, rtol=0, atol=1e-4)
    twice = lm(tokens, LmInputs(text[:, :3].repeat(1, 2, 1), text_bias=torch.full((1, 6), math.log(0.5))))
    torch.testing.assert_close(twice, alone, rtol=0, atol=1e-5)  # a prompt blended with itself is itself
    half = torch.tensor([[0.7, 0.3]]).log().repeat_interleave(3, dim=1)
    expected = lm(tokens, LmInputs(text, text_bias=half))
    assert (expected - alone).abs().max() > 1e-3
    state = lm.new_state(1, 8)
    lm.set_text(state, text, bias=half)
    lm.prefill(tokens[:, :, :5], None, state)
    torch.testing.assert_close(lm.step(tokens[:, :, 5], None, state), expected[:, :, 5], rtol=0, atol=1e-4)


def test_the_two_ways_to_treat_padding_differ_only_in_padded_rows():
    masked, zeros = make(CROSS, 4), make(LmSpec(**{**vars(CROSS), "text_padding": "zeros"}), 4)
    draw = torch.Generator().manual_seed(4)
    tokens, text = torch.randint(0, 31, (2, 4, 6), generator=draw), torch.randn(2, 5, 8, generator=draw)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 2:] = False
    a, b = (lm(tokens, LmInputs(text, mask)) for lm in (masked, zeros))
    assert torch.equal(a[0], b[0]) or (a[0] - b[0]).abs().max() < 1e-5
    assert (a[1] - b[1]).abs().max() > 1e-3
    for lm, expected in ((masked, a), (zeros, b)):
        state = lm.new_state(2, 8)
        lm.set_text(state, text, mask)
        lm.prefill(tokens[:, :, :5], None, state)
        got = lm.step(tokens[:, :, 5], None, state)
        torch.testing.assert_close(got, expected[:, :, 5], rtol=0, atol=1e-4)


def test_a_prefix_of_the_wrong_shape_is_refused():
    lm = make(PREFIX)
    with pytest.raises(ModelError, match=r"allowed: \[1, 7, 5\]"):
        lm(torch.zeros(1, 4, 2, dtype=torch.int64), LmInputs(controls={"melody": torch.zeros(1, 6, 5)}))
