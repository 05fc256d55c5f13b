"""audiocraft's own config (`xp.cfg`, YAML text inside its checkpoints) as an LmSpec or an EncodecSpec.

Knows nothing about files and weights. What a config asks for that this decoder or codec does not have is
refused by name. Reference: audiocraft models/builders.py, config/model, config/conditioner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from descant.model.checkpoints.config_tree import MISSING, ConfigTree
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.spec import ControlSpec, LmSpec

MELODY = "self_wav"  # audiocraft's name of the conditioner that is our control "melody"
EXTEND_STRIDE = 18.0  # seconds: how far audiocraft moves its window to go on beyond segment_duration
_LONGEST = 1_000_000  # characters of a config
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_CHROMA_HOP = 4096  # samples: a quarter of the 2^14 that radix2_exp 14 asks for
_MOST_STAGES = 16
_MOST_EMPTY = 1000  # columns
_DEEPEST = 20  # references that refer to references


class AudiocraftConfig(ConfigTree):
    """A config whose `${...}` references are resolved when a value is asked for."""

    def __init__(self, text: object, source: str) -> None:
        """text: YAML. source: for messages."""
        super().__init__({}, f"The config of {source}", "Use a MusicGen checkpoint exported by audiocraft.")
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise self.bad("is no text (xp.cfg)")
        try:
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
                raise self.bad("has YAML aliases")
            tree = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise self.bad(f"is no YAML: {' '.join(str(error).split())}") from error
        if not isinstance(tree, dict):
            raise self.bad("is no YAML mapping")
        self._tree = tree

    def find(self, name: str) -> Any:
        """The value at a dotted name, references resolved, or MISSING."""
        return self._resolved(super().find(name), name, 0)

    def _resolved(self, value: Any, name: str, depth: int) -> Any:
        if isinstance(value, list):
            return [self._resolved(item, name, depth + 1) for item in value]
        whole = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if whole is None:
            return value
        if depth > _DEEPEST:
            raise self.bad(f"has {name} that refers to itself")
        found = super().find(whole[1])
        if found is MISSING:
            raise self.bad(f"has {name} that refers to {whole[1]}, which is not there")
        return self._resolved(found, name, depth + 1)


@dataclass(frozen=True)
class TextConditioner:
    """A conditioner that reads words.

    name: in the checkpoint. kind: "t5" or "clap". encoder: the T5's name, or the CLAP checkpoint's.
    quantized: whether a CLAP's embedding goes through a quantizer. width: of its states.
    """

    name: str
    kind: str
    encoder: str
    width: int
    quantized: bool = False


@dataclass(frozen=True)
class LmConfig:
    """What a language model's config says. spec.text_dim: the width of all text conditioners together and an
    indicator column each where there is more than one (see JoinedTextEncoder). stereo: the codec is used for
    left and right, codebooks interleaved.
    """

    spec: LmSpec
    texts: tuple[TextConditioner, ...]
    stereo: bool


def lm_config(config: AudiocraftConfig, frame_rate: float, widths: Mapping[str, int]) -> LmConfig:
    """The language model of a config. Raises ModelError.

    frame_rate: of its codec. widths: of each conditioner's states, by its name, as the weights have them.
    """
    config.only("lm_model", "transformer_lm")
    for name, (meant, allowed) in _ONLY.items():
        config.only(f"transformer_lm.{name}", allowed, default=meant)
    config.only("fuser.cross_attention_pos_emb", False)
    dim, n_codebooks = config.number("transformer_lm.dim"), config.number("transformer_lm.n_q", most=256)
    seconds = config.real("dataset.segment_duration", 30, most=3600.0)
    texts, melody = _conditioners(config, seconds, widths)
    crossing = config.names("fuser.cross")
    prefixed = config.names("fuser.prepend")
    for other in ("sum", "input_interpolate"):
        if config.names(f"fuser.{other}"):
            raise config.bad(f"fuses conditions by {other}; allowed: cross, prepend")
    forms = {
        "cross" if text.name in crossing else "prefix" if text.name in prefixed else "nothing"
        for text in texts
    }
    if len(forms) > 1 or "nothing" in forms or (melody is not None and MELODY not in prefixed):
        raise config.bad("fuses its conditions in a way that no released MusicGen does")
    form = forms.pop() if forms else "cross"
    width = sum(text.width for text in texts) + (len(texts) if len(texts) > 1 else 0)
    stereo = config.flag("interleave_stereo_codebooks.use", False)
    if stereo:
        config.only("interleave_stereo_codebooks.per_timestep", False)
    spec = LmSpec(
        dim=dim,
        n_layers=config.number("transformer_lm.num_layers", most=1000),
        n_heads=config.number("transformer_lm.num_heads"),
        ffn_dim=dim * config.number("transformer_lm.hidden_scale", 4),
        n_codebooks=n_codebooks,
        cardinality=config.number("transformer_lm.card"),
        positions="sinusoidal_audiocraft",
        text_dim=width,
        text_form=form,  # type: ignore[arg-type]
        text_padding="zeros",
        controls=(melody,) if melody is not None else (),
        window=round(seconds * frame_rate),
        stride=round(min(EXTEND_STRIDE, 0.6 * seconds) * frame_rate),
        **_pattern(config, n_codebooks),
    )
    return LmConfig(spec, texts, stereo)


# name: what audiocraft means where a config says nothing, what the decoder here has
_ONLY: dict[str, tuple[Any, Any]] = {
    "norm_first": (False, True),
    "bias_ff": (True, False),
    "bias_attn": (True, False),
    "bias_proj": (True, False),
    "activation": ("gelu", "gelu"),
    "norm": ("layer_norm", "layer_norm"),
    "positional_embedding": ("sin", "sin"),
    "causal": (True, True),
    "past_context": (None, None),
    "layer_scale": (None, None),
    "kv_repeat": (1, 1),
    "qk_layer_norm": (False, False),
    "qk_layer_norm_cross": (False, False),
}


def _conditioners(
    config: AudiocraftConfig, seconds: float, widths: Mapping[str, int]
) -> tuple[tuple[TextConditioner, ...], ControlSpec | None]:
    texts, melody = [], None
    for name in config.names("conditioners"):
        if name == "args":
            continue
        kind = config.get(f"conditioners.{name}.model")
        at = f"conditioners.{name}.{kind}"
        if name not in widths:
            raise config.bad(f"has a conditioner {name!r} that has no projection in the weights")
        if kind == "t5":
            config.only(f"{at}.normalize_text", False)
            texts.append(TextConditioner(name, kind, str(config.get(f"{at}.name")), widths[name]))
        elif kind == "clap":
            config.only(f"{at}.normalize", True)
            quantized = config.flag(f"{at}.quantize", False)
            encoder = str(config.get(f"{at}.checkpoint"))
            texts.append(TextConditioner(name, kind, encoder, widths[name], quantized))
        elif kind == "chroma_stem" and name == MELODY:
            config.only(f"{at}.argmax", True)
            config.only(f"{at}.radix2_exp", 14, default=12)
            rate = config.only(f"{at}.sample_rate", config.number("sample_rate"))
            frames = 1 + int(seconds * rate) // _CHROMA_HOP
            melody = ControlSpec(
                "melody",
                config.number(f"{at}.n_chroma", 12),
                form="prefix",
                length=frames,
                null=0,
                doc="one-hot of the dominant pitch class (C = 0)",
            )
        else:
            raise config.bad(
                f"has a conditioner {name!r} of kind {kind!r}; allowed: t5, clap, and {MELODY} of chroma_stem"
            )
    return tuple(texts), melody


def _pattern(config: AudiocraftConfig, n_codebooks: int) -> Mapping[str, Any]:
    """The codebook pattern, as fields of an LmSpec."""
    modeling = config.get("codebooks_pattern.modeling", config.get("transformer_lm.q_modeling", "delay"))
    at = f"codebooks_pattern.{modeling}"
    none = (0,) * n_codebooks
    if modeling == "delay":
        return {
            "pattern": "delay",
            "delays": config.numbers(f"{at}.delays", tuple(range(n_codebooks))),
            "flatten_first": config.number(f"{at}.flatten_first", 0, least=0),
            "empty_initial": config.number(f"{at}.empty_initial", 0, least=0, most=_MOST_EMPTY),
        }
    if modeling == "parallel":
        empty = config.number(f"{at}.empty_initial", 0, least=0, most=_MOST_EMPTY)
        return {"pattern": "parallel", "delays": none, "empty_initial": empty}
    if modeling == "unroll":
        flattening = config.numbers(f"{at}.flattening", tuple(range(n_codebooks)))
        return {
            "pattern": "flatten",
            "flattening": flattening,
            "delays": config.numbers(f"{at}.delays", none),
        }
    if modeling in ("valle", "coarse_first"):
        fine = config.numbers(f"{at}.delays", none[1:])
        return {"pattern": "coarse_first", "delays": (0, *fine)}
    if modeling == "musiclm":
        return {"pattern": "grouped", "delays": none, "group_by": config.number(f"{at}.group_by", 2)}
    raise config.bad(
        f"has codebook pattern {modeling!r}; allowed: delay, parallel, unroll, coarse_first (or valle), "
        "musiclm"
    )


def codec_spec(config: AudiocraftConfig) -> EncodecSpec:
    """The EnCodec of a compression model's config. Raises ModelError."""
    config.only("compression_model", "encodec")
    config.only("encodec.autoencoder", "seanet")
    config.only("encodec.quantizer", "rvq")
    config.only("encodec.renormalize", False)
    config.only("seanet.activation", "ELU")
    config.only("seanet.norm", "weight_norm")
    config.only("seanet.disable_norm_outer_blocks", 0)
    config.only("seanet.pad_mode", "constant", "reflect", "replicate")
    config.only("seanet.decoder.final_activation", "none")
    if config.names("seanet.encoder") or set(config.names("seanet.decoder")) - {
        *("trim_right_ratio", "final_activation", "final_activation_params")
    }:
        raise config.bad("has another geometry for its encoder than for its decoder")
    ratios = config.numbers("seanet.ratios", least=1)
    if not 1 <= len(ratios) <= _MOST_STAGES:
        raise config.bad(f"has {len(ratios)} seanet.ratios; allowed: 1 to {_MOST_STAGES}")
    return EncodecSpec(
        sample_rate=config.number("encodec.sample_rate"),
        channels=config.number("encodec.channels", most=2),
        n_codebooks=config.number("rvq.n_q", most=256),
        cardinality=config.number("rvq.bins"),
        causal=config.flag("seanet.causal", False),
        ratios=ratios,
        n_filters=config.number("seanet.n_filters", most=10_000),
        latent_dim=config.number("seanet.dimension", most=100_000),
        n_lstm_layers=config.number("seanet.lstm", 0, least=0, most=100),
        kernel_size=config.number("seanet.kernel_size", 7, most=1000),
        last_kernel_size=config.number("seanet.last_kernel_size", 7, most=1000),
        residual_kernel_size=config.number("seanet.residual_kernel_size", 3, most=1000),
        n_residual_layers=config.number("seanet.n_residual_layers", 1, most=100),
        dilation_growth=config.number("seanet.dilation_base", 2, most=1000),
        compress=config.number("seanet.compress", 2, most=10_000),
        conv_shortcut=not config.flag("seanet.true_skip", True),
        pad_mode=config.get("seanet.pad_mode", "reflect"),
        trim_right_ratio=config.real("seanet.decoder.trim_right_ratio", 1.0, most=1.0),
    )
