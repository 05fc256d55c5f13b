"""tiny_model: a MusicModel of random weights and tiny shapes, of the real classes, for tests and tools.

It makes noise, in milliseconds, with the controls of the model that ships.
"""

from __future__ import annotations

import torch

from descant.model.checkpoints.minilm_files import load_minilm
from descant.model.checkpoints.tensors import tensors_hash
from descant.model.codec.tonebank import TonebankCodec, TonebankSpec
from descant.model.lm.music_lm import MusicLm
from descant.model.music_model import MusicModel
from descant.model.spec import ControlSpec, LmSpec, ModelSpec

CONTROLS = (
    ControlSpec("melody", 12, doc="one-hot pitch class (C = 0) of the melody sounding in the frame"),
    ControlSpec("chords", 12, doc="pitch classes of the held chord, 1 each"),
    ControlSpec("beat", 4, guided=False, doc="cos, sin of 2 pi beat phase; cos, sin of 2 pi bar phase"),
)


def tiny_model(seed: int = 0) -> MusicModel:
    """32 kHz mono, 50 Hz, 4 codebooks of 64; a 2-layer decoder that sees 24 columns. Weights by `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec_spec = TonebankSpec(
            32000,
            1,
            640,
            4,
            64,
            320,
            width=32,
            ffn_width=64,
            encoder_blocks=1,
            decoder_blocks=2,
            latent_dim=16,
        )
        codec = TonebankCodec(codec_spec).eval()
        with torch.no_grad():
            codec.quantizer.codebooks.normal_()
        lm_spec = LmSpec(
            dim=32,
            n_layers=2,
            n_heads=2,
            ffn_dim=64,
            n_codebooks=4,
            cardinality=64,
            delays=(0, 1, 2, 3),
            positions="rope",
            context=24,
            text_dim=384,
            controls=CONTROLS,
        )
        lm = MusicLm(lm_spec).eval()
    spec = ModelSpec(f"tiny-{seed}", codec_spec, lm_spec)
    return MusicModel(spec, codec, lm, load_minilm(), tensors_hash([codec, lm]))
