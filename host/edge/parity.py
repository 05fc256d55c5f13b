"""`descant eval parity`: whether MusicGen and EnCodec here are the reference's functions, in figures.

Each check builds the reference with random weights, saves it as its own library does, loads the folder as a
user would, and compares. Nothing here knows how either is made. The reference says all that it is asked
before ours is loaded, and has been let go by then.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from descant.host.edge import parity_oracle as oracle
from descant.host.edge.parity_sizes import CODECS, SIZES, Size
from descant.model import MusicModel, Sampling, load_model
from descant.model.checkpoints import load_codec
from descant.model.columns import Form
from descant.model.conditions.prefix_chroma import PrefixChroma
from descant.model.lm.inputs import LmInputs

FAMILIES = {
    "text": (False, False),
    "melody": (True, False),
    "stereo": (False, True),
    "stereo melody": (True, True),
}
GREEDY = Sampling(temperature=0.0)
LOGITS, WAVES, STREAMS, STATES = (
    5e-5,
    1e-5,
    1e-6,
    1e-5,
)  # tolerances, relative to the reference's peak above 1


@dataclass(frozen=True)
class Row:
    """One line of the table. error: what was measured; it may be up to `allowed`. what: its unit."""

    family: str
    check: str
    error: float
    allowed: float
    what: str

    @property
    def passed(self) -> bool:
        return self.error <= self.allowed


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, in units of the reference's peak if that is above 1."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float((ours - theirs).abs().max()) / max(1.0, float(theirs.abs().max()))


def unequal(ours: Tensor, theirs: Tensor) -> float:
    """How many codes differ."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float((ours != theirs).sum())


Compare = Callable[[MusicModel], Iterator[Row]]  # what the reference said, to be held against a model


def musicgen_rows(size: Size, family: str, frames: int | None = None) -> Iterator[Row]:
    """Every check of one family at one size; frames: to generate, default the size's own."""
    melody, stereo = FAMILIES[family]
    name = f"{family}, {size.name}"
    with tempfile.TemporaryDirectory(prefix="descant-parity-") as folder:
        theirs = oracle.make_musicgen(size, melody, stereo)
        saved = oracle.save(theirs, Path(folder) / "model", tokenizer=True)
        heard = list(_questions(theirs, size, name, melody, size.frames if frames is None else frames))
        del theirs
        gc.collect()
        model = load_model(str(saved))
    for compare in heard:
        yield from compare(model)


def _questions(theirs: Any, size: Size, name: str, melody: bool, frames: int) -> Iterator[Compare]:
    """All that the reference is asked."""
    yield _codec_of(theirs, name)
    yield _text(theirs, name)
    chroma = _chroma(size) if melody else None
    for tune in (None, chroma) if melody else (None,):
        yield _logits(theirs, size, name, tune)
    cases: list[tuple[str, str | None, float, Tensor | None]] = [
        ("guided", "warm piano and slow drums", 3.0, chroma),
        ("unguided", "drums", 1.0, chroma),
    ]
    if melody:
        cases.append(("guided, text alone", "warm piano", 3.0, None))
    for what, prompt, guidance, tune in cases:
        yield _greedy(theirs, name, what, prompt, guidance, tune, frames)
    if not melody:  # transformers' melody models take no audio to go on from
        yield _continued(theirs, name, frames)


def codec_rows(form: str, config: dict[str, Any], seconds: float) -> Iterator[Row]:
    """Every bandwidth of one EnCodec: codes and waves, and streams where it streams."""
    theirs = oracle.make_codec(config)
    with tempfile.TemporaryDirectory(prefix="descant-parity-") as folder:
        oracle.save(theirs, Path(folder) / "codec", tokenizer=False)
        for bandwidth in config["target_bandwidths"]:
            ours: Any = load_codec(str(Path(folder) / "codec"), bandwidth=bandwidth)
            name = f"EnCodec {form}, {bandwidth:g} kbit/s"
            wave = _noise(1, ours.spec.channels, round(seconds * ours.spec.sample_rate))
            with torch.inference_mode():
                encoded = theirs.encode(wave, bandwidth=bandwidth)
                decoded = theirs.decode(
                    encoded.audio_codes,
                    encoded.audio_scales,
                    last_frame_pad_length=getattr(encoded, "last_frame_pad_length", 0),
                ).audio_values
            if config.get("chunk_length_s"):
                yield from _chunked(ours, wave, encoded, decoded, name)
                continue
            codes = ours.encode(wave)
            yield Row(name, "codes", unequal(codes, encoded.audio_codes[0]), 0, "codes")
            yield Row(name, "wave", relative(ours.decode(codes), decoded), WAVES, "peak")
            yield Row(name, "streamed wave against whole", _streamed(ours, codes), STREAMS, "peak")
            yield Row(name, "streamed codes against whole", _encoded(ours, wave, codes), 0, "codes")


def chroma_rows() -> Iterator[Row]:
    """What a melody model is given of a clip, of several lengths and numbers of bins."""
    for seconds, bins in ((30.0, 12), (3.3, 12), (0.2, 12), (30.0, 8)):
        wave = _noise(round(seconds * 32000))
        ours, theirs = PrefixChroma(bins).frames(wave, 32000), oracle.chroma(wave, bins)
        yield Row(f"melody, {bins} bins", f"chroma of {seconds:g} s", unequal(ours, theirs), 0, "codes")
    silence = oracle.chroma(torch.zeros(2), 12)
    null = PrefixChroma().fit(silence, 235)
    yield Row("melody, 12 bins", "no melody", unequal(PrefixChroma().null(235), null), 0, "codes")


def report(sizes: list[str], progress: Callable[[str], None]) -> list[Row]:
    """Thread: main. The whole table: the sizes named, a melody's chroma and the codecs always."""
    oracle.need_transformers()
    rows: list[Row] = []
    for size in sizes:
        for family in SIZES[size].families:
            began = time.monotonic()
            rows += musicgen_rows(SIZES[size], family)
            progress(f"{family}, {size}: {time.monotonic() - began:.0f} s")
    rows += chroma_rows()
    for form, config in CODECS.items():
        began = time.monotonic()
        rows += codec_rows(form, config, 1.3)
        progress(f"EnCodec {form}: {time.monotonic() - began:.0f} s")
    return rows


# The checks


def _codec_of(theirs: Any, name: str) -> Compare:
    codec, channels = theirs.audio_encoder, theirs.config.decoder.audio_channels
    wave = _noise(1, channels, 40 * codec.config.hop_length + 7)
    bandwidth = codec.config.target_bandwidths[-1]
    with torch.inference_mode():
        sides = [wave[:, c : c + 1] for c in range(channels)]
        codes = [codec.encode(side, bandwidth=bandwidth).audio_codes[0] for side in sides]
        waves = torch.cat([codec.decode(side[None], [None]).audio_values for side in codes], dim=1)
    expected = torch.stack(codes, dim=2).flatten(1, 2)

    def compare(model: MusicModel) -> Iterator[Row]:
        yield Row(name, "codec: codes", unequal(model.codec.encode(wave), expected), 0, "codes")
        yield Row(name, "codec: wave", relative(model.codec.decode(expected), waves), WAVES, "peak")
        streamed = _streamed(model.codec, expected)
        yield Row(name, "codec: streamed against whole", streamed, STREAMS, "peak")

    return compare


def _text(theirs: Any, name: str) -> Compare:
    prompt = "warm piano and bright strings"
    ids, _ = oracle.ids_of([prompt])
    with torch.inference_mode():
        expected = theirs.text_encoder(input_ids=ids).last_hidden_state[0]

    def compare(model: MusicModel) -> Iterator[Row]:
        states = model.encode_text(prompt)
        assert states is not None
        yield Row(name, "text states", relative(states.states, expected), STATES, "peak")

    return compare


def _logits(theirs: Any, size: Size, name: str, tune: Tensor | None) -> Compare:
    prompts = ["warm piano and slow drums", "drums"]  # one is padded
    columns, n_codebooks = 40, theirs.config.decoder.num_codebooks
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, size.cardinality + 1, (2, n_codebooks, columns), generator=draw)
    ids, mask = oracle.ids_of(prompts)
    given = {} if tune is None else {"input_features": tune.expand(2, -1, -1)}
    flat = tokens.reshape(-1, columns)
    with torch.inference_mode():
        logits = theirs(input_ids=ids, attention_mask=mask, decoder_input_ids=flat, **given).logits
    expected = logits.view(2, n_codebooks, -1, size.cardinality)[:, :, -columns:].clone()

    def compare(model: MusicModel) -> Iterator[Row]:
        plain = model.conditions(prompts)
        controls = {} if tune is None else {"melody": tune.expand(2, -1, -1)}
        with torch.inference_mode():
            got = model.lm(tokens, LmInputs(plain.text, plain.text_mask, controls))
        what = "logits, two prompts, one padded" + (", a melody" if tune is not None else "")
        yield Row(name, what, relative(got, expected), LOGITS, "peak")

    return compare


def _greedy(
    theirs: Any,
    name: str,
    what: str,
    prompt: str | None,
    guidance: float,
    tune: Tensor | None,
    frames: int,
) -> Compare:
    expected = oracle.greedy_codes(theirs, prompt, frames, guidance, tune)
    sampling = Sampling(temperature=0.0, guidance=guidance)
    given: dict[str, Any] = {} if tune is None else {"melody": tune}

    def compare(model: MusicModel) -> Iterator[Row]:
        wave = model.generate(prompt, seconds=frames / model.spec.frame_rate, sampling=sampling, **given)
        form = Form(frames, drain=True)
        stream = model.stream(prompt, sampling=sampling, form=form, max_rewind=0, **given)
        streamed = torch.cat([stream.step() for _ in range(frames)], dim=-1)
        label = f"greedy codes, {frames} frames, {what}"
        yield Row(name, label, unequal(stream.tokens, expected), 0, "codes")
        offline = model.codec.decode(stream.tokens[None])[0]
        yield Row(name, f"streamed wave against whole, {what}", relative(streamed, offline), STREAMS, "peak")
        yield Row(name, f"generate against stream, {what}", relative(wave, streamed), 0, "peak")

    return compare


def _continued(theirs: Any, name: str, frames: int) -> Compare:
    kept, codec = frames // 3, theirs.config.audio_encoder
    wave = _noise(1, theirs.config.decoder.audio_channels, kept * codec.hop_length)
    expected = oracle.greedy_codes(theirs, "warm piano", frames, 3.0, wave=wave)

    def compare(model: MusicModel) -> Iterator[Row]:
        clip = (wave[0], model.spec.sample_rate)
        form = Form(frames, drain=True)
        stream = model.stream("warm piano", sampling=GREEDY, form=form, prompt=clip, max_rewind=0)
        for _ in range(frames):
            stream.step()
        label = f"greedy codes, {frames} frames, going on from {kept} of audio"
        yield Row(name, label, unequal(stream.tokens, expected), 0, "codes")

    return compare


def _streamed(codec: Any, codes: Tensor) -> float:
    """Worst difference of streams cut into 1, 2, 3, 7 and 50 frames from the whole."""
    whole, worst = codec.decode(codes), 0.0
    for cut in (1, 2, 3, 7, 50):
        stream = codec.decode_stream(codes.shape[0])
        parts = [stream.push(codes[..., at : at + cut]) for at in range(0, codes.shape[-1], cut)]
        worst = max(worst, relative(torch.cat([*parts, stream.flush()], dim=-1), whole))
    return worst


def _encoded(codec: Any, wave: Tensor, codes: Tensor) -> float:
    worst = 0.0
    for cut in (100, 641, 5000):
        stream = codec.encode_stream(wave.shape[0])
        parts = [stream.push(wave[..., at : at + cut]) for at in range(0, wave.shape[-1], cut)]
        worst = max(worst, unequal(torch.cat([*parts, stream.flush()], dim=-1), codes))
    return worst


def _chunked(codec: Any, wave: Tensor, encoded: Any, decoded: Tensor, name: str) -> Iterator[Row]:
    """Chunk by chunk; transformers pads the last one's codes to the others' length."""
    chunks = codec.encode_scaled(wave)
    theirs = [codes[..., : chunk.codes.shape[-1]] for chunk, codes in zip(chunks, encoded.audio_codes)]
    assert len(theirs) == len(chunks) == len(encoded.audio_codes)
    yield Row(name, "codes", sum(unequal(c.codes, t) for c, t in zip(chunks, theirs)), 0, "codes")
    scales = [relative(c.scale, t.view_as(c.scale)) for c, t in zip(chunks, encoded.audio_scales)]
    yield Row(name, "loudness of chunks", max(scales), STATES, "peak")
    again, length = codec.decode_scaled(chunks), wave.shape[-1]
    yield Row(name, "wave", relative(again[..., :length], decoded[..., :length]), WAVES, "peak")


def _noise(*shape: int) -> Tensor:
    return 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _chroma(size: Size) -> Tensor:
    bins = torch.randint(0, 12, (size.chroma_length,), generator=torch.Generator().manual_seed(5))
    return torch.nn.functional.one_hot(bins, 12).float()
