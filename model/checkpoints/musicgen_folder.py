"""A folder as transformers saves MusicGen or EnCodec: config.json, weights, tokenizer; checked, then built.

model_type "musicgen" (text in cross-attention), "musicgen_melody" (melody and text before the music) and
"encodec", each mono or stereo. What a config says of training (dropout) and generation_config.json says of
sampling is not read: weights run in float32 unless a kernel is asked for, and sampling is the caller's. A
window is the 30 s all of them were trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from descant.model.checkpoints.config_tree import ConfigTree, read_json
from descant.model.checkpoints.encodec_files import build_codec, codec_config, codec_shape
from descant.model.checkpoints.memory import give_back, lean_heap
from descant.model.checkpoints.musicgen_keys import COMPOSITE_IGNORED, composite_table, without
from descant.model.checkpoints.pulled import weights_hash
from descant.model.checkpoints.stored import build_lm, folder_weights, kernel_named
from descant.model.checkpoints.tensors import StoredTensors
from descant.model.checkpoints.text_files import musicgen_text
from descant.model.codec.codec import Codec
from descant.model.codec.encodec import Encodec
from descant.model.codec.encodec_keys import bandwidth_codebooks
from descant.model.codec.encodec_spec import EncodecSpec
from descant.model.codec.stereo import StereoCodec
from descant.model.lm.linear import check_kernel, is_native
from descant.model.music_model import MusicModel
from descant.model.spec import CodecSpec, ControlSpec, LmSpec, ModelSpec

MUSICGEN, MELODY, ENCODEC = "musicgen", "musicgen_melody", "encodec"
WINDOW_SECONDS, STRIDE_SECONDS = 30.0, 18.0  # what the models were trained on; how far audiocraft moves on
_AGAIN = "Fetch the model again, or use another one."


@dataclass(frozen=True)
class MusicgenPlan:
    """What a MusicGen's config.json describes. shape: of the mono codec. stereo: it is used for both sides.

    projects_text: whether the states of the text encoder have another width than the decoder.
    """

    spec: ModelSpec
    shape: EncodecSpec
    stereo: bool
    projects_text: bool


def load_musicgen(folder: Path, name: str, kernel: str | None, allow_pickle: bool) -> MusicModel:
    """The model in a folder with model_type "musicgen" or "musicgen_melody". Raises ModelError.

    name: what the model is to be called. kernel: fp32 unless asked otherwise. A native one loads lean:
    weights are packed as they are read, the codec's encoder comes when it is first used, and unless it is
    native-fp32 the text encoder's matrices lie in half precision, in a file of the cache folder.
    """
    lean = is_native(check_kernel(kernel_named(kernel, "fp32")))
    with lean_heap() if lean else nullcontext():
        return _load(folder, name, kernel_named(kernel, "fp32"), allow_pickle, lean)


def _load(folder: Path, name: str, kernel: str, allow_pickle: bool, lean: bool) -> MusicModel:
    config = read_json(folder / "config.json", _AGAIN)
    plan = plan_musicgen(config, name)
    lm_spec = plan.spec.lm
    stored, files = folder_weights(folder, allow_pickle)
    digest = cache(lambda: weights_hash([folder / "config.json", *files, *tokenizer_files(folder)]))
    with closing(stored):
        # first, for it is the smallest and looks for the tokenizer before it reads weights
        part = {"text_encoder": config.get("text_encoder")}
        text = musicgen_text(stored, part, folder, digest if lean and kernel != "native-fp32" else None)
        table, extra = composite_table(lm_spec), {}
        if not plan.projects_text:
            table = without(table, "text_proj.")
            extra = {"text_proj.weight": torch.eye(lm_spec.dim), "text_proj.bias": torch.zeros(lm_spec.dim)}
        # the language model last: by then what the others needed on the way has been given back
        again = partial(_stored_again, folder, allow_pickle) if lean else None
        codec: Codec = build_codec(
            plan.shape, stored, _after("audio_encoder."), f"The codec of {folder}", again
        )
        if isinstance(codec, Encodec):
            codec.use_kernel(kernel)
        give_back()
        lm = build_lm(lm_spec, table, stored, str(folder), COMPOSITE_IGNORED, extra, kernel, digest())
    give_back()
    if text.dim != lm_spec.text_dim:
        raise config.bad(f"has a text encoder {text.dim} wide and says {lm_spec.text_dim}")
    if plan.stereo:
        codec = StereoCodec(codec).eval()
    return MusicModel(plan.spec, codec, lm, text, digest())


def _stored_again(folder: Path, allow_pickle: bool) -> StoredTensors:
    return folder_weights(folder, allow_pickle)[0]


def load_encodec(
    folder: Path, allow_pickle: bool, n_codebooks: int | None = None, bandwidth: float | None = None
) -> tuple[Codec, list[Path]]:
    """The codec in a folder with model_type "encodec", and the files it is made of. Raises ModelError.

    n_codebooks, or bandwidth in kbit/s: how many of its codebooks are used; default all.
    """
    shape = codec_shape(read_json(folder / "config.json", _AGAIN), "", n_codebooks, bandwidth)
    stored, files = folder_weights(folder, allow_pickle)
    with closing(stored):
        codec = build_codec(shape, stored, lambda name: name, str(folder))
    return codec, [folder / "config.json", *files]


def plan_musicgen(config: ConfigTree, name: str) -> MusicgenPlan:
    """What a config.json describes, or a ModelError that says what in it cannot be."""
    kind = config.only("model_type", MUSICGEN, MELODY)
    config.only("decoder.activation_function", "gelu")
    config.only("decoder.scale_embedding", False)
    config.only("decoder.tie_word_embeddings", False)
    if config.get("decoder.cross_attention_hidden_size", None) is not None:
        raise config.bad("has decoder.cross_attention_hidden_size; allowed: none")
    dim = config.number("decoder.hidden_size", 1024)
    cardinality = config.number("decoder.vocab_size", 2048)
    n_codebooks = config.number("decoder.num_codebooks", 4, most=256)
    if config.get("decoder.pad_token_id", cardinality) != cardinality:
        raise config.bad(
            f"has decoder.pad_token_id {config.get('decoder.pad_token_id')}; allowed: {cardinality}"
        )
    channels = config.number("decoder.audio_channels", 1, most=2)
    if n_codebooks % channels:
        raise config.bad(f"has {n_codebooks} codebooks for {channels} channels; allowed: as many for each")
    shape = mono_shape(config, "audio_encoder", n_codebooks // channels, cardinality)
    config.get("text_encoder.model_type")
    text_dim = config.number("text_encoder.d_model", 512)
    melody = ControlSpec(
        "melody",
        config.number("num_chroma", 12, most=10_000),
        form="prefix",
        length=config.number("chroma_length", 235, most=100_000),
        null=0,
        doc="one-hot of the dominant pitch class (C = 0)",
    )
    codec = shape.codec
    lm = LmSpec(
        dim=dim,
        n_layers=config.number("decoder.num_hidden_layers", 24, most=1000),
        n_heads=config.number("decoder.num_attention_heads", 16),
        ffn_dim=config.number("decoder.ffn_dim", 4096),
        n_codebooks=n_codebooks,
        cardinality=cardinality,
        delays=tuple(k // channels for k in range(n_codebooks)),
        positions="sinusoidal",
        text_dim=text_dim,
        text_form="prefix" if kind == MELODY else "cross",
        text_padding="zeros" if kind == MELODY else "masked",
        controls=(melody,) if kind == MELODY else (),
        window=round(WINDOW_SECONDS * codec.frame_rate),
        stride=round(STRIDE_SECONDS * codec.frame_rate),
    )
    if kind == MELODY and melody.dim == dim:
        raise config.bad(f"has num_chroma {dim}, the decoder's width; allowed: any other")
    spec = ModelSpec(name, both_sides(codec) if channels == 2 else codec, lm)
    return MusicgenPlan(spec, shape, channels == 2, text_dim != dim)


def mono_shape(config: ConfigTree, at: str, n_codebooks: int, cardinality: int) -> EncodecSpec:
    """The codec for a language model with that many codebooks a channel, or ModelError if it does not fit."""
    stored = codec_shape(config, at)
    fits = sorted(set(bandwidth_codebooks(codec_config(config, at)).values()))
    if n_codebooks not in fits or stored.cardinality != cardinality:
        raise config.bad(
            f"has a language model of {n_codebooks} codebooks of {cardinality} entries for each channel and "
            f"a codec of {' or '.join(map(str, fits))} of {stored.cardinality}; they must fit"
        )
    return fitting(codec_shape(config, at, n_codebooks), config)


def fitting(shape: EncodecSpec, config: ConfigTree) -> EncodecSpec:
    """The codec, if a language model can write for it frame by frame. Raises ModelError."""
    if shape.chunk_seconds is not None or shape.normalize or shape.channels != 1:
        raise config.bad("has a codec that is not mono and one piece; allowed: the 24 kHz and 32 kHz forms")
    return shape


def both_sides(mono: CodecSpec) -> CodecSpec:
    """The numbers of a mono codec used for left and right (StereoCodec)."""
    return CodecSpec(
        mono.sample_rate, 2, mono.hop_length, 2 * mono.n_codebooks, mono.cardinality, mono.lookahead
    )


def tokenizer_files(folder: Path) -> list[Path]:
    """The file that a folder's tokenizer is read from."""
    return [path for path in (folder / "tokenizer.json", folder / "spiece.model") if path.is_file()][:1]


def _after(prefix: str) -> Callable[[str], str | None]:
    return lambda name: name.removeprefix(prefix) if name.startswith(prefix) else None
