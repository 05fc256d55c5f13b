"""The model alone, in this process: its real-time factor and what each stage of a frame costs.

Knows nothing about hosts and sockets. Times are measured with a monotonic clock around real calls; nothing
is patched.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np
import torch

from descant.model import MusicModel, Sampling
from descant.model.sampling import mix_guidance, sample

_PROMPTS = (
    "lofi hip hop with a warm electric piano",
    "slow strings over a deep bass",
    "fast funk with slap bass",
)


class Spread(msgspec.Struct, frozen=True):
    """A measured quantity over many repetitions, in ms."""

    n: int
    mean: float
    p50: float
    p95: float
    p99: float
    worst: float


class ModelFigures(msgspec.Struct, frozen=True):
    """What one stream of the model costs.

    hop_ms: how long a frame lasts. real_time_factor: whole run, time to make / time it lasts.
    cpu_factor: the same of processor time, which other programs disturb little. rtf_p99: of the slowest frame
    in a hundred. first_frame_ms: a new stream to its first audio. frame: every later step.
    text, lm, codec, sampling: each stage by itself (lm: one column, codec: one frame, sampling: one column).
    """

    model: str
    weights_hash: str
    threads: int
    seconds: float
    guided: bool
    hop_ms: float
    real_time_factor: float
    cpu_factor: float
    rtf_p50: float
    rtf_p95: float
    rtf_p99: float
    first_frame_ms: float
    frame: Spread
    text: Spread | None
    lm: Spread
    codec: Spread
    sampling: Spread


def spread(milliseconds: list[float]) -> Spread:
    """The figures of a list of measurements, which must not be empty."""
    values = np.asarray(milliseconds)
    p50, p95, p99 = (float(np.percentile(values, percent)) for percent in (50, 95, 99))
    return Spread(
        len(values), *(round(x, 3) for x in (float(values.mean()), p50, p95, p99, float(values.max())))
    )


def timed(call: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each of `times` calls."""
    out = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        out.append(1000 * (time.perf_counter() - began))
    return out


def measure_model(
    model: MusicModel, seconds: float, threads: int, progress: Callable[[str], None] = lambda _: None
) -> ModelFigures:
    """Thread: main. Stream `seconds` of audio from a guided prompt and time every frame, then each stage
    alone."""
    hop_ms = 1000.0 / model.spec.frame_rate
    sampling = Sampling()
    progress("warming up")
    stream = model.stream(text=_PROMPTS[0], seed=0, sampling=sampling)
    for _ in range(3):
        stream.step()
    progress("streaming")
    first = []
    for text in _PROMPTS:
        began = time.perf_counter()
        stream = model.stream(text=text, seed=1, sampling=sampling)
        stream.step()
        first.append(1000 * (time.perf_counter() - began))
    cpu = time.process_time()
    frames = timed(stream.step, max(10, round(seconds * model.spec.frame_rate)))
    cpu = time.process_time() - cpu
    progress("stages")
    figures = spread(frames)
    return ModelFigures(
        model=model.spec.name,
        weights_hash=model.weights_hash[:16],
        threads=threads,
        seconds=round(len(frames) * hop_ms / 1000, 3),
        guided=sampling.guidance != 1.0,
        hop_ms=hop_ms,
        real_time_factor=round(figures.mean / hop_ms, 4),
        cpu_factor=round(1000 * cpu / (len(frames) * hop_ms), 4),
        rtf_p50=round(figures.p50 / hop_ms, 4),
        rtf_p95=round(figures.p95 / hop_ms, 4),
        rtf_p99=round(figures.p99 / hop_ms, 4),
        first_frame_ms=round(float(np.median(first)), 1),
        frame=figures,
        text=_text_stage(model),
        lm=_lm_stage(model),
        codec=_codec_stage(model),
        sampling=_sampling_stage(model),
    )


def _text_stage(model: MusicModel) -> Spread | None:
    """Encoding prompts never seen before: words to token states."""
    if not model.spec.lm.text_dim:
        return None
    numbers = iter(range(10**6))
    return spread(timed(lambda: model.encode_text(f"{_PROMPTS[2]}, take {next(numbers)}"), 12))


def _lm_stage(model: MusicModel) -> Spread:
    """One column of both guidance branches with a full cache."""
    spec = model.spec.lm
    context = spec.context or 256
    with torch.inference_mode():
        state = model.lm.new_state(2, context + 64)
        if spec.text_dim:
            text = torch.randn(2, 12, spec.text_dim)
            model.lm.set_text(state, text, torch.ones(2, 12, dtype=torch.bool))
        tokens = torch.zeros(2, spec.n_codebooks, dtype=torch.long)
        controls = {
            control.name: torch.zeros(2, control.dim) for control in spec.controls if control.form == "frame"
        }
        step = lambda: model.lm.step(tokens, controls, state)  # noqa: E731
        timed(step, context)  # fills the cache
        return spread(timed(step, 60))


def _codec_stage(model: MusicModel) -> Spread:
    """One frame of the streamed decoder, with the snapshot that makes rewinding possible."""
    spec = model.spec.codec
    with torch.inference_mode():
        stream = model.codec.decode_stream(batch=1)
        codes = torch.randint(
            spec.cardinality, (1, spec.n_codebooks, 1), generator=torch.Generator().manual_seed(0)
        )

        def frame() -> None:
            stream.push(codes)
            stream.snapshot()

        timed(frame, 10)
        return spread(timed(frame, 60))


def _sampling_stage(model: MusicModel) -> Spread:
    """Guidance and one draw for each codebook."""
    generator = torch.Generator().manual_seed(0)
    spec, sampling = model.spec.lm, Sampling()
    logits = torch.randn(2, spec.n_codebooks, spec.cardinality, generator=generator)

    def draw() -> None:
        sample(mix_guidance(logits[0], logits[1], sampling.guidance), sampling, generator)

    with torch.inference_mode():
        timed(draw, 10)
        return spread(timed(draw, 60))
