"""Prompts: MiniLM against transformers, and what a prompt may be."""

import pytest
import torch

from descant.model.checkpoints.minilm_files import load_minilm, minilm_folder
from descant.model.conditions.text import MAX_CHARACTERS, MAX_TOKENS, REMEMBERED, TextStates, pad_states
from descant.model.errors import ModelError


@pytest.fixture(scope="module")
def encoder():
    return load_minilm()


def test_states_are_those_of_transformers_bert(encoder):
    from transformers import BertModel, BertTokenizer

    folder = str(minilm_folder())
    reference = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokenizer = BertTokenizer.from_pretrained(folder)
    for prompt in (
        "warm lo-fi piano",
        "Fast DRUM & bass, 174 bpm, dark; reese bass über alles!",
        "ü 東京 🎹",
    ):
        ids = tokenizer(prompt, return_tensors="pt", padding=False)
        with torch.inference_mode():
            expected = reference(**ids).last_hidden_state[0]
        torch.testing.assert_close(encoder.encode(prompt).states, expected, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_a_blank_prompt_is_the_null_text(encoder, blank):
    assert encoder.encode(blank) is None


def test_a_prompt_of_100000_characters_is_refused_and_2000_are_not(encoder):
    with pytest.raises(ModelError) as error:
        encoder.encode("a" * 100_000)
    assert "100000" in error.value.what and str(MAX_CHARACTERS) in error.value.what
    assert encoder.encode("la " * 666).states.shape == (MAX_TOKENS, 384)
    with pytest.raises(ModelError, match="must be text, not int"):
        encoder.encode(5)


@pytest.mark.parametrize("bad", ["\udcff\udcfe bad", "a half \ud83d", "\udfff"])
def test_half_characters_are_refused_by_name(encoder, bad):
    """What bytes that were no UTF-8 become on a command line."""
    with pytest.raises(ModelError, match="not valid Unicode; allowed") as error:
        encoder.encode(bad)
    assert str(error.value).encode() and len(str(error.value).split("\n")) == 3
    assert encoder.encode("whole ones: 🎹 é") is not None


def test_a_long_prompt_keeps_its_end_mark(encoder):
    short = encoder.encode("la")
    assert short.states.shape[0] == 3  # [CLS] la [SEP]
    long = encoder.encode(" ".join(["piano"] * 300))
    assert long.states.shape[0] == MAX_TOKENS and torch.isfinite(long.states).all()


def test_prompts_are_remembered_up_to_a_limit(encoder):
    first = encoder.encode("remember me")
    assert encoder.encode("  remember me ") is first
    for i in range(REMEMBERED):
        encoder.encode(f"{i}")
    assert encoder.encode("remember me") is not first
    torch.testing.assert_close(encoder.encode("remember me").states, first.states)


def test_rows_of_different_length_are_padded_and_masked():
    a, b = TextStates("a", torch.ones(2, 3)), TextStates("b", 2 * torch.ones(4, 3))
    states, mask = pad_states([a, None, b], 3)
    assert states.shape == (3, 4, 3) and mask.sum(dim=1).tolist() == [2, 0, 4]
    assert states[0, 2:].abs().sum() == 0 and states[1].abs().sum() == 0
    assert pad_states([None, None], 3) == (None, None)
