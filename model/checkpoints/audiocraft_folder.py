"""A folder of audiocraft's files as a MusicModel: the language model, its codec, its text encoders.

The codec is in the folder, or a stub names one; text encoders are never in it. Both are then looked for among
pulled models, under the ids by which audiocraft knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

from torch import Tensor

from descant.model.checkpoints.audiocraft_config import (
    AudiocraftConfig,
    LmConfig,
    TextConditioner,
    codec_spec,
    lm_config,
)
from descant.model.checkpoints.audiocraft_files import AudiocraftFiles, open_audiocraft
from descant.model.checkpoints.config_tree import ConfigTree, read_json
from descant.model.checkpoints.encodec_files import build_codec, codec_shape, from_audiocraft
from descant.model.checkpoints.musicgen_folder import both_sides, fitting, load_encodec, tokenizer_files
from descant.model.checkpoints.musicgen_keys import (
    AUDIOCRAFT_IGNORED,
    audiocraft_table,
    conditioner_widths,
    legacy_names,
)
from descant.model.checkpoints.pulled import checked_hash, find, weights_hash
from descant.model.checkpoints.stored import build_lm, kernel_named
from descant.model.checkpoints.text_files import audiocraft_quantizer, load_clap, load_t5, weight_files
from descant.model.codec.codec import Codec
from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.codec.stereo import StereoCodec
from descant.model.conditions.joined_text import JoinedTextEncoder, joined_projection
from descant.model.conditions.text import PromptEncoder
from descant.model.errors import ModelError
from descant.model.lm.linear import check_kernel, is_native
from descant.model.music_model import MusicModel
from descant.model.spec import ModelSpec

# under which ids of the hub audiocraft's names of text encoders are published, in transformers' form
_PUBLISHED = {
    **{name: f"google-t5/{name}" for name in ("t5-small", "t5-base", "t5-large", "t5-3b", "t5-11b")},
    "music_audioset_epoch_15_esc_90.14.pt": "laion/larger_clap_music",
}
_CONDITIONERS = "condition_provider.conditioners."


def load_audiocraft(folder: Path, name: str, kernel: str | None, allow_pickle: bool) -> MusicModel:
    """The model in a folder of audiocraft's checkpoints, converted or (if allowed) pickles. ModelError.

    name: what the model is to be called. kernel: fp32 unless asked otherwise.
    """
    kernel = kernel_named(kernel, "fp32")
    lean = is_native(check_kernel(kernel)) and kernel != "native-fp32"
    hash_of = cache(checked_hash)  # the language model's files are asked for twice
    with closing(open_audiocraft(folder, allow_pickle)) as files:
        plan, shape, spec = _plan(files, name)
        lm_spec = spec.lm
        projections = [f"{_CONDITIONERS}{text.name}." for text in plan.texts]
        single = plan.texts[0].name if len(plan.texts) == 1 else None
        ignore, extra = list(AUDIOCRAFT_IGNORED), {}
        if len(plan.texts) > 1:
            extra = _joined(files, projections, plan.texts)
            ignore += [f"{prefix}output_proj." for prefix in projections]
        ignore += [f"{_CONDITIONERS}{text.name}.quantizer." for text in plan.texts if text.quantized]
        table = legacy_names(audiocraft_table(lm_spec, single), set(files.lm))
        digest = weights_hash(files.files, hash_of) if is_native(check_kernel(kernel)) else ""
        lm = build_lm(lm_spec, table, files.lm, files.lm.where, ignore, extra, kernel, digest)
        used = list(files.files)
        codec: Codec
        if files.codec is not None:
            codec = build_codec(shape, files.codec, from_audiocraft, files.codec.where)
        else:
            codec, more = load_encodec(codec_folder(files), allow_pickle, shape.n_codebooks)
            used += more
        encoders = []
        for reads in plan.texts:
            place = _text_folder(reads, files)
            encoders.append(_text_encoder(reads, place, files, lean))
            used += [place / "config.json", *weight_files(place), *tokenizer_files(place)]
    text: PromptEncoder | None = None
    if encoders:
        text = encoders[0] if len(encoders) == 1 else JoinedTextEncoder(encoders)
    if text is not None and text.dim != lm_spec.text_dim:
        raise ModelError(
            f"The text encoders of {folder} are {text.dim} wide together; their projections take "
            f"{lm_spec.text_dim}.",
            "Nothing was loaded.",
            "Pull the text encoders that its config names.",
        )
    if isinstance(codec, Encodec):
        codec.use_kernel(kernel)
    if plan.stereo:
        codec = StereoCodec(codec).eval()
    return MusicModel(spec, codec, lm, text, weights_hash(used, hash_of))


def plan_audiocraft(folder: Path, name: str, allow_pickle: bool = False) -> ModelSpec:
    """The numbers of the model in a folder, without building it. Raises ModelError."""
    with closing(open_audiocraft(folder, allow_pickle)) as files:
        return _plan(files, name)[2]


def _plan(files: AudiocraftFiles, name: str) -> tuple[LmConfig, EncodecSpec, ModelSpec]:
    """The language model, its (mono) codec and the numbers of both together."""
    config = files.lm_config
    if files.codec_config is not None:
        whole = codec_spec(files.codec_config)
    else:
        whole = codec_shape(_codec_config(files))
    plan = lm_config(config, whole.codec.frame_rate, conditioner_widths(files.lm.shapes))
    sides = 2 if plan.stereo else 1
    n_codebooks, rest = divmod(plan.spec.n_codebooks, sides)
    if rest or n_codebooks > whole.n_codebooks or plan.spec.cardinality != whole.cardinality:
        raise config.bad(
            f"has {plan.spec.n_codebooks} codebooks of {plan.spec.cardinality} entries for {sides} channels; "
            f"its codec has {whole.n_codebooks} of {whole.cardinality} for each"
        )
    shape = fitting(replace(whole, n_codebooks=n_codebooks), config)
    codec = both_sides(shape.codec) if plan.stereo else shape.codec
    return plan, shape, ModelSpec(name, codec, plan.spec)


def codec_folder(files: AudiocraftFiles) -> Path:
    """Where the codec lies that a stub names. Raises ModelError with the command that pulls it."""
    return _pulled(files.pretrained or "", "codec", files.lm_config)


def _codec_config(files: AudiocraftFiles) -> ConfigTree:
    return read_json(codec_folder(files) / "config.json", "Pull the codec again.")


def _text_folder(text: TextConditioner, files: AudiocraftFiles) -> Path:
    """Where the text encoder of a conditioner lies. Raises ModelError with the command that pulls it."""
    published = _PUBLISHED.get(Path(text.encoder).name, text.encoder)
    return find(text.encoder) or _pulled(published, "text encoder", files.lm_config)


def _text_encoder(text: TextConditioner, folder: Path, files: AudiocraftFiles, lean: bool) -> PromptEncoder:
    if text.kind == "t5":
        return load_t5(folder, lean)
    prefix = f"{_CONDITIONERS}{text.name}.quantizer."
    return load_clap(folder, audiocraft_quantizer(files.lm, prefix) if text.quantized else None)


def _pulled(name: str, what: str, config: AudiocraftConfig) -> Path:
    folder = find(name)
    if folder is None:
        raise ModelError(
            f"{config.source} names the {what} {name}, which is not on this machine.",
            "Nothing was loaded.",
            f"Pull it: descant models pull {name}",
        )
    return folder


def _joined(
    files: AudiocraftFiles, prefixes: Sequence[str], texts: Sequence[TextConditioner]
) -> dict[str, Tensor]:
    """The projections of several text conditioners as one. Raises ModelError."""
    parts = []
    for prefix, text in zip(prefixes, texts):
        names = [f"{prefix}output_proj.{part}" for part in ("weight", "bias")]
        if not all(name in files.lm.shapes for name in names):
            raise files.lm_config.bad(
                f"has a conditioner {text.name!r} whose projection is not in the weights"
            )
        parts.append((files.lm[names[0]], files.lm[names[1]]))
    weight, bias = joined_projection(parts)
    return {"text_proj.weight": weight, "text_proj.bias": bias}
