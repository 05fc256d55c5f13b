"""The embedded model's card speaks of the weights and numbers that ship beside it."""

import json
import re

from safetensors import safe_open

from descant.model.checkpoints.embedded import EMBEDDED

CARD = " ".join((EMBEDDED / "card.md").read_text(encoding="utf-8").split())
CONFIG = json.loads((EMBEDDED / "config.json").read_text(encoding="utf-8"))


def made(name):
    with safe_open(str(EMBEDDED / f"{name}.safetensors"), framework="pt") as file:
        return json.loads(file.metadata()["made"])


def test_the_language_models_shape_is_the_one_that_ships():
    lm = CONFIG["lm"]
    assert f"{lm['n_layers']} layers of width {lm['dim']}" in CARD
    assert f"context {lm['context']} columns" in CARD
    assert f"{lm['n_codebooks']} codebooks of {lm['cardinality']}" in CARD


def test_it_was_written_for_these_weights():
    steps = re.findall(r"(\d+) steps, ([\d.]+) h", CARD)
    for name, (step, hours) in zip(("codec", "lm"), steps, strict=True):
        assert int(step) == made(name)["step"]
        assert abs(float(hours) - made(name)["seconds"] / 3600) < 0.006


def test_the_files_are_as_small_as_promised():
    size = sum((EMBEDDED / name).stat().st_size for name in ("codec.safetensors", "lm.safetensors"))
    assert size <= 40e6 and f"{size / 1e6:.0f}" in CARD.split("Size**: ")[1][:6]
