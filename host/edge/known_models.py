"""The table of models whose ids Descant knows by heart: what they are and what their makers allow.

Any other id of the hub can be pulled, too. No commit is written here, for none was verified by us: a pull
asks the hub which commit a branch stands at, says it, and pins it in the manifest; --revision takes another.
"""

from __future__ import annotations

from dataclasses import dataclass

WEIGHTS_LICENCE = "CC-BY-NC 4.0"  # all MusicGen weights: attribution, no commercial use


@dataclass(frozen=True)
class KnownModel:
    """id: on the hub. about: a few words (B: billions of weights). licence: as its makers state it, or empty.

    revision: the branch, tag or commit that is pulled where none is asked for.
    """

    id: str
    about: str
    licence: str = ""
    revision: str = "main"


def _musicgen(name: str, about: str) -> KnownModel:
    return KnownModel(f"facebook/musicgen-{name}", about, WEIGHTS_LICENCE)


KNOWN: tuple[KnownModel, ...] = (
    _musicgen("small", "text; 0.4 B"),
    _musicgen("medium", "text; 1.8 B"),
    _musicgen("large", "text; 3.3 B"),
    _musicgen("melody", "text, melody; 1.4 B"),
    _musicgen("melody-large", "text, melody; 2.5 B"),
    _musicgen("stereo-small", "text; stereo; 0.4 B"),
    _musicgen("stereo-medium", "text; stereo; 1.9 B"),
    _musicgen("stereo-large", "text; stereo; 3.3 B"),
    _musicgen("stereo-melody", "text, melody; stereo; 1.4 B"),
    _musicgen("stereo-melody-large", "text, melody; stereo; 2.5 B"),
    KnownModel("facebook/encodec_24khz", "codec, mono 24 kHz"),
    KnownModel("facebook/encodec_32khz", "codec, mono 32 kHz", WEIGHTS_LICENCE),
    KnownModel("facebook/encodec_48khz", "codec, stereo 48 kHz"),
    KnownModel("google-t5/t5-base", "text encoder"),
)


def known_model(name: str) -> KnownModel:
    """The row of an id, or one that says nothing of it."""
    return next((model for model in KNOWN if model.id == name), KnownModel(name, ""))
