"""Models as pure tensors: codec, language model, conditions, streams. No threads, clocks or devices."""

from descant.model.checkpoints import load_codec, load_model
from descant.model.columns import Form
from descant.model.conditions.conditions import Conditions
from descant.model.conditions.text import TextStates
from descant.model.errors import ModelError
from descant.model.generator import Generator
from descant.model.music_model import MusicModel
from descant.model.sampling import Sampling
from descant.model.snapshot import Snapshot
from descant.model.spec import CodecSpec, ControlSpec, LmSpec, ModelSpec
from descant.model.tiny import tiny_model

__all__ = [
    "CodecSpec",
    "Conditions",
    "ControlSpec",
    "Form",
    "Generator",
    "LmSpec",
    "ModelError",
    "ModelSpec",
    "MusicModel",
    "Sampling",
    "Snapshot",
    "TextStates",
    "load_codec",
    "load_model",
    "tiny_model",
]
