"""The reference for parity: transformers' models with random weights, saved its way.

Random weights suffice: a function that is the same on them is the same. Needs transformers, which the product
does not; Hugging Face's random codebooks are all zero, so they are filled.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from descant.host.edge.parity_sizes import Size
from descant.host.errors import HostError

WORDS = ("<pad>", "</s>", "<unk>", "warm", "piano", "slow", "drums", "and", "bright", "strings")


def need_transformers() -> None:
    """Raise HostError unless the reference is installed."""
    if importlib.util.find_spec("transformers") is None:
        raise HostError(
            "The reference implementation (the package transformers) is not installed.",
            "Descant itself needs it for nothing else.",
            "Install it: pip install transformers==5.23.0",
        )


def library() -> Any:
    """transformers itself, for others that compare with it: it is imported nowhere else."""
    import transformers

    return transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's warnings, such as that of MusicGen's own special token."""
    logging = library().logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def filled(model: Any, spread: float) -> Any:
    """The model with weights that tell layers apart, and codebooks as wide as what is quantized."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            codec = "audio_encoder" in name or name.startswith(("encoder.layers", "decoder.layers"))
            if codec:
                if name.endswith("original0"):  # gains that differ from the norms
                    parameter.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=draw))
            elif parameter.dim() > 1 or "norm" in name:
                parameter.normal_(0.0, spread, generator=draw)
        part = getattr(model, "audio_encoder", model)
        if hasattr(part, "quantizer"):
            wave = torch.randn(1, part.config.audio_channels, part.config.sampling_rate // 2, generator=draw)
            wide = float(part.encoder(wave * 0.3).std())
            for layer in part.quantizer.layers:
                layer.codebook.embed.normal_(0.0, wide, generator=draw)
                wide *= 0.7
    return model.eval()


def make_musicgen(size: Size, melody: bool, stereo: bool) -> Any:
    """transformers' MusicGen of one family, 4 codebooks (8 in stereo), random by a fixed seed."""
    import transformers as hf

    parts = configs(size, stereo)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if melody:
            parts["decoder"] = hf.MusicgenMelodyDecoderConfig(**parts["decoder"]).to_dict()
            config = hf.MusicgenMelodyConfig(**parts, chroma_length=size.chroma_length)
            return filled(hf.MusicgenMelodyForConditionalGeneration(config), size.spread)
        parts["decoder"] = hf.MusicgenDecoderConfig(**parts["decoder"]).to_dict()
        return filled(hf.MusicgenForConditionalGeneration(hf.MusicgenConfig(**parts)), size.spread)


def configs(size: Size, stereo: bool = False) -> dict[str, Any]:
    """The configs of text encoder and codec, and the decoder's numbers."""
    import transformers as hf

    numbers: dict[str, Any] = {
        "vocab_size": size.cardinality,
        "hidden_size": size.dim,
        "ffn_dim": 4 * size.dim,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_codebooks": 8 if stereo else 4,
        "audio_channels": 2 if stereo else 1,
        "pad_token_id": size.cardinality,
        "bos_token_id": size.cardinality,
        "dropout": 0.0,
    }
    return {
        "text_encoder": hf.T5Config(**size.text).to_dict(),
        "audio_encoder": hf.EncodecConfig(**size.codec).to_dict(),
        "decoder": numbers,
    }


def make_codec(config: dict[str, Any]) -> Any:
    """transformers' EnCodec, random by a fixed seed, its codebooks filled."""
    import transformers as hf

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return filled(hf.EncodecModel(hf.EncodecConfig(**config)), 0.0)


def save(model: Any, folder: Path, tokenizer: bool) -> Path:
    """As `save_pretrained` writes it, with a tokenizer that a T5 could have."""
    model.save_pretrained(folder)
    if tokenizer:
        save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of WORDS, as a T5 could have it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    words.save(str(folder / "tokenizer.json"))


def ids_of(prompts: list[str]) -> tuple[Tensor, Tensor]:
    """What that tokenizer makes of prompts: ids [B, L], padded on the right, and their mask."""
    rows = [[WORDS.index(word) if word in WORDS else 2 for word in p.split()] + [1] for p in prompts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def chroma(wave: Tensor, bins: int) -> Tensor:
    """What transformers' MusicgenMelodyFeatureExtractor hears in [T] at 32 kHz: [F, bins].

    It asks torchaudio for the spectrogram; where that is missing, it is given one by the documented formula.
    """
    name = "transformers.models.musicgen_melody.feature_extraction_musicgen_melody"
    theirs = importlib.import_module(name)
    lacking = not hasattr(theirs, "torchaudio")
    if lacking:
        vars(theirs)["torchaudio"] = SimpleNamespace(transforms=SimpleNamespace(Spectrogram=_spectrogram))
    try:
        extractor = theirs.MusicgenMelodyFeatureExtractor(num_chroma=bins)
        features: Tensor = extractor(wave, sampling_rate=32000, return_tensors="pt")["input_features"][0]
    finally:
        if lacking:
            del vars(theirs)["torchaudio"]
    return features


def _spectrogram(n_fft: int, win_length: int, hop_length: int, **rest: Any) -> Callable[[Tensor], Tensor]:
    """torchaudio.transforms.Spectrogram as the extractor uses it: power 2, centred, scaled by the window."""
    assert rest == {"power": 2, "center": True, "pad": 0, "normalized": True}, rest
    window = torch.hann_window(win_length)

    def run(wave: Tensor) -> Tensor:
        spectra = torch.stft(wave, n_fft, hop_length, win_length, window, return_complex=True)
        return (spectra / window.pow(2).sum().sqrt()).abs().pow(2)

    return run


def greedy_codes(
    model: Any,
    prompt: str | None,
    frames: int,
    guidance: float,
    chroma: Tensor | None = None,
    wave: Tensor | None = None,
) -> Tensor:
    """The codes [K, frames] that transformers' generate decodes, drawn without chance.

    wave: [1, C, T] music to go on from, whole frames, or None; its frames are among those of the result.
    """
    heard: list[Tensor] = []
    decode = model.audio_encoder.decode

    def listen(codes: Tensor, *rest: Any, **options: Any) -> Any:
        heard.append(codes[0, 0])
        return decode(codes, *rest, **options)

    n_codebooks, stereo = model.config.decoder.num_codebooks, model.config.decoder.audio_channels == 2
    given: dict[str, Any] = {}
    if prompt is not None:
        given["input_ids"], given["attention_mask"] = ids_of([prompt])
    if chroma is not None:
        given["input_features"] = chroma[None]
    kept = 0
    if wave is not None:
        given["input_values"], given["padding_mask"] = wave, torch.ones_like(wave[:, :1])
        codec = model.config.audio_encoder
        kept = wave.shape[-1] // (codec.sampling_rate // codec.frame_rate)
    model.audio_encoder.decode = listen
    try:
        with torch.inference_mode():
            model.generate(
                **given,
                do_sample=False,
                guidance_scale=guidance,
                max_new_tokens=frames - kept - 1 + (n_codebooks // 2 if stereo else n_codebooks),
            )
    finally:
        model.audio_encoder.decode = decode
    if not stereo:
        return heard[0]
    return torch.stack(heard[:2], dim=1).flatten(0, 1)
