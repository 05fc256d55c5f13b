"""Checkpoints for tests: tiny random models as transformers saves them, and in audiocraft's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    EncodecConfig,
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    MusicgenMelodyForConditionalGeneration,
    T5Config,
    T5EncoderModel,
)

from descant.model.checkpoints.pulled import MANIFEST, Manifest, StoredFile, folder_of
from descant.model.checkpoints.tensors import file_hash

K, CARDINALITY, DIM, TEXT_DIM, CHROMA_LENGTH = 4, 32, 32, 16, 30
T5_CONFIG: dict[str, Any] = {
    "vocab_size": 40,
    "d_model": TEXT_DIM,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
    "d_kv": 8,
}
CODEC_CONFIG: dict[str, Any] = {
    "sampling_rate": 4000,
    "upsampling_ratios": [5, 4, 4],
    "num_filters": 4,
    "hidden_size": 8,
    "codebook_size": CARDINALITY,
    "target_bandwidths": [1.0],
    "use_causal_conv": False,
    "use_conv_shortcut": False,
}
WORDS = ["<pad>", "</s>", "<unk>", "warm", "piano", "slow", "drums", "and"]


def lively(module: Any) -> Any:
    """The module with weights large enough to tell layers apart, and codebooks that are not all zero."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "audio_encoder" not in name and not name.startswith(("encoder.layers", "decoder.layers")):
                parameter.normal_(0.0, 0.2)
        codec = getattr(module, "audio_encoder", module)
        if hasattr(codec, "quantizer"):
            for layer in codec.quantizer.layers:
                layer.codebook.embed.normal_(0.0, 0.3)
    return module.eval()


def make_musicgen(melody: bool = False, stereo: bool = False, seed: int = 0, **decoder: Any) -> Any:
    """transformers' MusicGen, tiny, random: 50 frames a second, K codebooks (twice as many in stereo)."""
    torch.manual_seed(seed)
    numbers = {
        "vocab_size": CARDINALITY,
        "hidden_size": DIM,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_codebooks": 2 * K if stereo else K,
        "audio_channels": 2 if stereo else 1,
        "pad_token_id": CARDINALITY,
        "bos_token_id": CARDINALITY,
        "max_position_embeddings": 64,
        **decoder,
    }
    parts = {
        "text_encoder": T5Config(**T5_CONFIG).to_dict(),
        "audio_encoder": EncodecConfig(**CODEC_CONFIG).to_dict(),
    }
    if melody:
        parts["decoder"] = MusicgenMelodyDecoderConfig(**numbers).to_dict()
        config = MusicgenMelodyConfig(**parts, chroma_length=CHROMA_LENGTH)
        return lively(MusicgenMelodyForConditionalGeneration(config))
    parts["decoder"] = MusicgenDecoderConfig(**numbers).to_dict()
    return lively(MusicgenForConditionalGeneration(MusicgenConfig(**parts)))


def make_codec(seed: int = 0, **config: Any) -> Any:
    """transformers' EnCodec, tiny, random, its codebooks filled."""
    torch.manual_seed(seed)
    return lively(EncodecModel(EncodecConfig(**{**CODEC_CONFIG, **config})))


def make_t5(seed: int = 0) -> Any:
    """transformers' T5 encoder, tiny, random."""
    torch.manual_seed(seed)
    return lively(T5EncoderModel(T5Config(**T5_CONFIG)))


def save(model: Any, folder: Path, tokenizer: bool = True, **options: Any) -> Path:
    """A folder as `save_pretrained` writes it, with a tokenizer that T5 could have."""
    model.save_pretrained(folder, **options)
    if tokenizer:
        words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, "<unk>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        words.save(str(folder / "tokenizer.json"))
    return folder


def in_store(model: Any, name: str) -> Path:
    """A saved model put where pulled ones lie, its manifest written."""
    folder = save(model, folder_of(name))
    files = tuple(
        StoredFile(path.name, path.stat().st_size, file_hash([path])) for path in sorted(folder.iterdir())
    )
    (folder / MANIFEST).write_text(Manifest(name, "r" * 40, "none", "2024-01-01", files).to_json())
    return folder


def ids_of(prompts: list[str]) -> tuple[Tensor, Tensor]:
    """What the saved tokenizer makes of prompts, padded, and its mask."""
    rows = [
        [WORDS.index(word) if word in WORDS else 2 for word in prompt.split()] + [1] for prompt in prompts
    ]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


# what may stand in a config in place of anything
STRANGE: list[Any] = [
    *(None, -1, 0, 1, 3, 10**9, 10**30, "x", "", [], [0], [1, "a"], {}, True, 2.5, float("inf"), -0.0),
    *("${sample_rate}", "${x"),
]


def places(tree: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place in a config, the inner ones included."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield (*at, name)
            yield from places(value, (*at, name))


def put(tree: Any, at: tuple[str, ...], value: Any) -> Any:
    """A copy of a config with something else in a place."""
    if not at:
        return value
    return {**tree, at[0]: put(tree[at[0]], at[1:], value)}


# audiocraft's spelling, the inverse of the key maps of its conversion to transformers

_LAYER = {
    "self_attn.out_proj": "self_attn.out_proj",
    "encoder_attn.out_proj": "cross_attention.out_proj",
    "self_attn_layer_norm": "norm1",
    "encoder_attn_layer_norm": "norm_cross",
    "final_layer_norm": "norm2",
    "fc1": "linear1",
    "fc2": "linear2",
}


def audiocraft_lm(theirs: Any, legacy: bool = False) -> dict[str, Tensor]:
    """A language model's tensors as audiocraft's LMModel names them. legacy: as its first version did."""
    state, result = theirs.state_dict(), {}
    stem = "decoder.model.decoder."
    for name, value in state.items():
        if not name.startswith("decoder.") or "embed_positions" in name:
            continue
        if found := re.fullmatch(r"decoder\.lm_heads\.(\d+)\.weight", name):
            result[f"linears.{found[1]}.weight"] = value
        elif found := re.fullmatch(rf"{re.escape(stem)}embed_tokens\.(\d+)\.weight", name):
            result[f"emb.{found[1]}.weight"] = value
        elif found := re.fullmatch(rf"{re.escape(stem)}layer_norm\.(\w+)", name):
            result[f"out_norm.{found[1]}"] = value
        elif found := re.fullmatch(rf"{re.escape(stem)}layers\.(\d+)\.(.+)\.(weight|bias)", name):
            layer, part, kind = found.groups()
            if part in _LAYER:
                result[f"transformer.layers.{layer}.{_LAYER[part]}.{kind}"] = value
            elif part.endswith("q_proj"):
                whole = [state[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
                module = "self_attn" if part.startswith("self") else "cross_attention"
                result[f"transformer.layers.{layer}.{module}.in_proj_weight"] = torch.cat(whole)
    for ours, conditioner in (("enc_to_dec_proj", "description"), ("audio_enc_to_dec_proj", "self_wav")):
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                result[f"condition_provider.conditioners.{conditioner}.output_proj.{kind}"] = state[
                    f"{ours}.{kind}"
                ]
    if "audio_enc_to_dec_proj.weight" in state:
        result["condition_provider.conditioners.self_wav.chroma.spec.window"] = torch.hann_window(16384)
    if legacy:
        result = {
            re.sub(r"\.(self_attn|cross_attention)\.", r".\1.mha.", name): v for name, v in result.items()
        }
    return result


def audiocraft_codec(theirs: Any, new_spelling: bool = False) -> dict[str, Tensor]:
    """A codec's tensors as audiocraft's EncodecModel names them, weight norm spelled the old or new way."""
    result = {}
    transposed = {
        f"decoder.layers.{slot}"
        for slot, layer in enumerate(theirs.decoder.layers)
        if "Transpose" in type(layer).__name__
    }
    for name, value in theirs.state_dict().items():
        if name.startswith("quantizer."):
            name = name.replace("quantizer.layers.", "quantizer.vq.layers.").replace(
                ".codebook.", "._codebook."
            )
        else:
            kind = "convtr" if any(name.startswith(f"{slot}.") for slot in transposed) else "conv"
            name = name.replace(".conv.", f".{kind}.{kind}.").replace(".layers.", ".model.", 1)
            if not new_spelling:
                name = name.replace("parametrizations.weight.original0", "weight_g")
                name = name.replace("parametrizations.weight.original1", "weight_v")
        result[name] = value
    return result


def lm_yaml(melody: bool = False, stereo: bool = False, **changes: str) -> str:
    """xp.cfg of a language model, with more than is read. changes: the first line of each key, rewritten."""
    text = f"""
solver: musicgen
dtype: float32
device: cuda
sample_rate: 4000
channels: {2 if stereo else 1}
compression_model_checkpoint: //pretrained/facebook/encodec_32khz
compression_model_n_q: null
lm_model: transformer_lm
dataset:
  batch_size: 192
  segment_duration: 30
transformer_lm:
  dim: {DIM}
  num_heads: 2
  num_layers: 2
  hidden_scale: 2
  n_q: {2 * K if stereo else K}
  card: {CARDINALITY}
  dropout: 0.0
  activation: gelu
  norm_first: true
  bias_ff: false
  bias_attn: false
  bias_proj: false
  past_context: null
  causal: true
  custom: false
  memory_efficient: true
  positional_embedding: sin
  layer_scale: null
  norm: layer_norm
  cross_attention: false
  qk_layer_norm: false
  kv_repeat: 1
codebooks_pattern:
  modeling: delay
  delay:
    delays: {[k // 2 for k in range(2 * K)] if stereo else list(range(K))}
    flatten_first: 0
    empty_initial: 0
classifier_free_guidance:
  training_dropout: 0.3
  inference_coef: 3.0
interleave_stereo_codebooks:
  use: {str(stereo).lower()}
  per_timestep: false
fuser:
  cross_attention_pos_emb: false
  cross_attention_pos_emb_scale: 1
  sum: []
  prepend: {"[self_wav, description]" if melody else "[]"}
  cross: {"[]" if melody else "[description]"}
  input_interpolate: []
conditioners:
{_MELODY_YAML if melody else ""}  description:
    model: t5
    t5:
      name: t5-base
      finetune: false
      word_dropout: 0.3
      normalize_text: false
"""
    for key, line in changes.items():
        text, count = re.subn(rf"(?m)^( *){key}: .*$", rf"\1{key}: {line}", text, count=1)
        assert count == 1, key
    return text


_MELODY_YAML = """  self_wav:
    model: chroma_stem
    chroma_stem:
      sample_rate: ${sample_rate}
      n_chroma: 12
      radix2_exp: 14
      argmax: true
      match_len_on_eval: false
"""

CODEC_YAML = f"""
sample_rate: 4000
channels: 1
compression_model: encodec
encodec:
  autoencoder: seanet
  quantizer: rvq
  sample_rate: ${{sample_rate}}
  channels: ${{channels}}
  causal: false
  renormalize: false
seanet:
  dimension: 8
  channels: ${{channels}}
  causal: ${{encodec.causal}}
  n_filters: 4
  n_residual_layers: 1
  ratios: [5, 4, 4]
  activation: ELU
  activation_params: {{alpha: 1.0}}
  norm: weight_norm
  norm_params: {{}}
  kernel_size: 7
  residual_kernel_size: 3
  last_kernel_size: 7
  dilation_base: 2
  pad_mode: reflect
  true_skip: true
  compress: 2
  lstm: 2
  disable_norm_outer_blocks: 0
  decoder:
    trim_right_ratio: 1.0
    final_activation: null
    final_activation_params: null
  encoder: {{}}
rvq:
  n_q: {K}
  q_dropout: false
  bins: {CARDINALITY}
"""


def package(state: dict[str, Tensor], config: str) -> dict[str, Any]:
    """What audiocraft exports."""
    return {"best_state": dict(state), "xp.cfg": config, "version": "1.3.0", "exported": True}


def stub(name: str = "facebook/encodec_32khz") -> dict[str, Any]:
    """What audiocraft exports in a codec's place."""
    return {"pretrained": name, "exported": True, "version": "1.3.0"}


def save_audiocraft(folder: Path, theirs: Any, codec: dict[str, Any] | None = None, **lm: Any) -> Path:
    """A folder with audiocraft's two files. codec: instead of the model's own."""
    folder.mkdir(parents=True)
    half = lm.pop("half", False)
    state = audiocraft_lm(theirs, lm.pop("legacy", False))
    if half:
        state = {name: value.half() for name, value in state.items()}
    torch.save(package(state, lm.pop("config", lm_yaml())), folder / "state_dict.bin")
    torch.save(
        codec if codec is not None else package(audiocraft_codec(theirs.audio_encoder), CODEC_YAML),
        folder / "compression_state_dict.bin",
    )
    return folder
