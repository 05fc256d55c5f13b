"""MusicModel: whole pieces, batches of conditions, and what it refuses."""

import math

import numpy as np
import pytest
import torch

import descant.model
from descant.model import Conditions, ModelError, Sampling, tiny_model
from descant.model.conditions.steady_beat import steady_beat
from descant.model.conditions.text import TextStates

OFF = Sampling(guidance=1.0)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def sung(sample_rate=16000, seconds=0.4, hertz=440.0):
    return 0.3 * np.sin(2 * math.pi * hertz * np.arange(round(seconds * sample_rate)) / sample_rate)


def test_generate_is_the_stream_cut_to_length(model):
    melody = (sung(), 16000)
    whole = model.generate("warm piano", melody, seconds=0.25, seed=3)
    stream = model.stream("warm piano", melody, seed=3, beat=steady_beat(120.0, 50.0))
    joined = torch.cat([stream.step() for _ in range(13)], dim=-1)
    assert whole.shape == (1, 8000) and torch.equal(whole, joined[:, :8000])
    assert not torch.equal(whole, model.generate("warm piano", melody, seconds=0.25, seed=4))
    assert not torch.equal(
        whole, model.generate("warm piano", (sung(hertz=622.0), 16000), seconds=0.25, seed=3)
    )


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 3 * 3600, "8", None, True, 1e-9])
def test_lengths_out_of_bounds_are_refused(model, seconds):
    with pytest.raises(ModelError, match="allowed: more than 0, up to 3600"):
        model.generate("piano", seconds=seconds)


@pytest.mark.parametrize(
    "melody",
    [
        (np.zeros(0), 16000),
        (np.zeros(16000), 16000),
        (np.full(16000, np.nan), 16000),
        (torch.zeros(1).expand(8000 * 3 * 3600), 8000),
        torch.zeros(5, 11),
        torch.full((5, 12), math.inf),
        torch.zeros(0, 12),
        "hum.wav",
    ],
)
def test_melodies_that_cannot_be_used_are_refused_before_anything_is_made(model, melody):
    for use in (model.generate, model.stream, model.conditions):
        with pytest.raises(ModelError) as error:
            use(None, melody)
        assert len(str(error.value).splitlines()) == 3


def test_generate_gives_a_beat_of_the_tempo_asked_for_or_none(model):
    free = torch.cat([model.stream("piano", seed=3).step()], dim=-1)
    assert torch.equal(model.generate("piano", seconds=0.02, seed=3, bpm=None), free)
    slow, fast = (model.generate("piano", seconds=0.3, seed=3, bpm=bpm) for bpm in (60.0, 180.0))
    assert not torch.equal(slow, fast)
    given = model.generate("piano", seconds=0.3, seed=3, bpm=90.0, beat=steady_beat(60.0, 50.0))
    assert torch.equal(given, slow)  # a beat that is given is the one
    beat = steady_beat(120.0, 50.0, beats_per_bar=3)
    assert beat(25) == pytest.approx((1, 0, math.cos(2 * math.pi / 3), math.sin(2 * math.pi / 3)))
    for bad in (0.0, 1000.0, "fast", True):
        with pytest.raises(ModelError, match="20 to 400"):
            model.generate("piano", seconds=0.3, bpm=bad)


def test_the_null_prompt_is_none_or_blank(model):
    nothing = model.generate(seconds=0.1, sampling=OFF)
    assert torch.equal(model.generate("", seconds=0.1, sampling=OFF), nothing)
    assert torch.equal(model.generate("  ", seconds=0.1, sampling=OFF), nothing)
    with pytest.raises(ModelError, match="100000 characters"):
        model.generate("x" * 100_000)


def test_conditions_of_a_batch_feed_the_language_model(model):
    c = model.conditions(["warm piano", None, "drums"], melody=torch.eye(12), beat=torch.rand(3, 9, 4))
    assert isinstance(c, Conditions) and c.batch == 3 and c.texts == ("warm piano", None, "drums")
    assert c.text.shape[0] == 3 and c.text_mask.any(dim=1).tolist() == [True, False, True]
    assert c.controls["melody"].shape == (3, 12, 12) and c.controls["beat"].shape == (3, 9, 4)
    tokens = torch.randint(0, 65, (3, 4, 12))
    with torch.inference_mode():
        logits = model.lm(tokens, c)
        alone = model.lm(
            tokens[2:], model.conditions("drums", melody=torch.eye(12), beat=c.controls["beat"][2:])
        )
    assert logits.shape == (3, 4, 12, 64)
    assert (logits[2:] - alone).abs().max() < 1e-4


def test_the_null_branch_equals_zero_context(model):
    c = model.conditions("warm piano", melody=torch.eye(12), chords=torch.ones(9, 12), beat=torch.rand(9, 4))
    tokens = torch.randint(0, 65, (1, 4, 9))
    with torch.inference_mode():
        pair = model.lm(tokens.expand(2, -1, -1), c.guided(model.spec.lm.controls))
        beat_only = model.lm(tokens, model.conditions(beat=c.controls["beat"]))
        null = model.lm(tokens, c.null(model.spec.lm.controls))
        full = model.lm(tokens, c)
    assert torch.equal(null, beat_only)
    assert (pair[1:] - null).abs().max() < 1e-5 and (pair[:1] - full).abs().max() < 1e-5
    assert (full - null).abs().max() > 1e-2


def test_unknown_names_are_refused_with_the_accepted_ones(model):
    assert model.spec.controls == ("text", "melody", "chords", "beat")
    for use in (model.generate, model.stream, model.conditions):
        with pytest.raises(ModelError, match="melody, chords, beat"):
            use("piano", tempo=120)


def test_a_clip_is_heard_by_the_models_own_ear(model):
    heard = model.hear_melody(sung(), 16000)
    assert heard.shape == (20, 12) and int(heard.sum()) >= 16 and heard[10].argmax() == 9
    with pytest.raises(ModelError, match="silent"):
        model.hear_melody(np.zeros(16000), 16000)


def test_states_from_elsewhere_are_checked(model):
    good = model.text.encode("piano")
    by_states = model.generate(TextStates(None, good.states), seconds=0.1)
    assert torch.equal(by_states, model.generate("piano", seconds=0.1))
    for bad in (torch.zeros(3, 5), torch.zeros(384), torch.full((2, 384), math.nan)):
        with pytest.raises(ModelError, match="Text states"):
            model.stream(TextStates(None, bad))


def test_tiny_models_are_told_apart_by_their_hash_and_leave_random_state_alone():
    before = torch.get_rng_state()
    hashes = [tiny_model(seed).weights_hash for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2] and len(hashes[0]) == 64
    assert torch.equal(torch.get_rng_state(), before)


def test_public_names_are_these():
    assert descant.model.__all__ == sorted(descant.model.__all__)
    assert set(descant.model.__all__) == {
        "CodecSpec",
        "Conditions",
        "ControlSpec",
        "Generator",
        "LmSpec",
        "ModelError",
        "ModelSpec",
        "MusicModel",
        "Sampling",
        "Snapshot",
        "Form",
        "TextStates",
        "load_codec",
        "load_model",
        "tiny_model",
    }
    assert all(hasattr(descant.model, name) for name in descant.model.__all__)
