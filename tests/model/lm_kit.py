"""Small language models of every shape, and what their tests give them and ask of them."""

import torch

from descant.model.lm.inputs import LmInputs
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import ControlSpec, LmSpec

K, TEXT = 3, 12
BEAT = ControlSpec("beat", 4)
SHAPES = {
    "tiny": {},
    "odd": {"dim": 36, "n_heads": 2, "ffn_dim": 75, "cardinality": 21},
    "wide heads": {"dim": 192, "n_heads": 2, "ffn_dim": 200},
    "rope, context": {"positions": "rope", "context": 7},
    "no text": {"text_dim": 0},
    "embedded's": {
        "dim": 256,
        "n_heads": 4,
        "ffn_dim": 1024,
        "n_layers": 1,
        "positions": "rope",
        "context": 20,
    },
}


def make_lm(seed=0, **changes):
    torch.manual_seed(seed)
    fields: dict = {
        "dim": 64,
        "n_layers": 2,
        "n_heads": 4,
        "ffn_dim": 128,
        "n_codebooks": K,
        "cardinality": 20,
        "delays": (0, 1, 2),
        "text_dim": TEXT,
        "controls": (BEAT,),
    }
    lm = MusicLm(LmSpec(**{**fields, **changes})).eval()
    with torch.no_grad():
        for name, parameter in lm.named_parameters():
            if "norm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return lm.requires_grad_(False)


def make_inputs(lm, rows, length, seed=1):
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, lm.spec.cardinality + 1, (rows, K, length), generator=draw)
    controls = {"beat": torch.randn(rows, length, 4, generator=draw)}
    if not lm.spec.text_dim:
        return tokens, LmInputs(controls=controls)
    mask = torch.ones(rows, 6, dtype=torch.bool)
    mask[0, 4:] = False  # padding
    mask[1:] = False  # null rows
    return tokens, LmInputs(torch.randn(rows, 6, TEXT, generator=draw), mask, controls)


def begin(lm, rows, capacity, inputs):
    state = lm.new_state(rows, capacity)
    if inputs.text is not None:
        lm.set_text(state, inputs.text, inputs.text_mask)
    return state


def column(inputs, tokens, s):
    return tokens[:, :, s], inputs.controls["beat"][:, s]


def step_through(lm, state, tokens, inputs, columns):
    return torch.stack([lm.step(*column(inputs, tokens, s), state) for s in columns], dim=2)
