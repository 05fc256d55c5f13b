"""Our decoder against transformers' MusicGen decoder with the same random weights."""

import pytest
import torch

from descant.model.checkpoints.musicgen_keys import from_musicgen
from descant.model.lm.inputs import LmInputs
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import LmSpec


@pytest.fixture(scope="module")
def pair():
    from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

    torch.manual_seed(3)
    config = MusicgenDecoderConfig(
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
    theirs = MusicgenForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():  # their init is too small to tell layers apart
            parameter.normal_(0.0, 0.2)
    spec = LmSpec(32, 3, 2, 128, 4, 30, (0, 1, 2, 3), text_dim=8)
    ours = MusicLm(spec).eval()
    tensors = from_musicgen(theirs.state_dict(), spec)
    missing, unexpected = ours.load_state_dict(tensors, strict=False)
    assert set(missing) == {"text_proj.weight", "text_proj.bias"} and not unexpected
    used = {key for key in theirs.state_dict() if "embed_positions" not in key}
    from descant.model.checkpoints.musicgen_keys import key_table

    assert used == {name for names in key_table(spec).values() for name in names}
    return theirs, ours


@pytest.mark.parametrize("with_text", [True, False])
def test_teacher_forced_logits_are_musicgens(pair, with_text):
    theirs, ours = pair
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 31, (2, 4, 40), generator=draw)
    text = torch.randn(2, 5, 8, generator=draw)
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    with torch.inference_mode():
        extra = {}
        if with_text:
            states = ours.text_proj(text) * mask.unsqueeze(-1)
            extra = {"encoder_hidden_states": states, "encoder_attention_mask": mask.long()}
        expected = theirs(input_ids=tokens.reshape(8, 40), **extra).logits.view(2, 4, 40, 30)
        got = ours(tokens, LmInputs(text, mask) if with_text else None)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=5e-5)
