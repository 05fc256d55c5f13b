"""What a frame of MusicGen-small's shape is made of, how many run together, and how soon one sounds."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np
import torch
import zmq

from descant.host import translate
from descant.host.edge.bench_race import Progress, Runner, Times, put, times
from descant.host.events import AudioOut
from descant.model import Form, MusicModel
from descant.model.lm.step import LmState
from descant.model.sampling import mix_rows, sample


class Stages(msgspec.Struct, frozen=True):
    """Each part of a frame by itself. text: words to states. wire: a frame's audio, packed, through a local
    socket, and unpacked."""

    text: Times
    lm: Times
    sampling: Times
    codec: Times
    wire: Times


class Together(msgspec.Struct, frozen=True):
    """So many sessions, each a guidance pair, a frame of all: frame ms; real_time: of all at once, at p50."""

    sessions: int
    frame: Times
    real_time: float


class Window(msgspec.Struct, frozen=True):
    """A stream from its start, frame by frame. real_time: how many times as fast as it sounds, on the whole;
    at_best: were every frame as quick as the quickest twentieth of its neighbours."""

    seconds: float
    frame: Times
    real_time: float
    at_best: float


@torch.inference_mode()
def stages(runner: Runner, columns: int, repeats: int, words: Sequence[str]) -> Stages:
    """Thread: main. Each stage so many times, the column at a context of `columns`."""
    model = runner.model
    runner.at(columns)
    for _ in range(5):
        runner.frame()
    parts = np.array([runner.frame() for _ in range(repeats)])
    texts = []
    for prompt in words:
        began = time.perf_counter()
        model.encode_text(prompt)
        texts.append(time.perf_counter() - began)
    lm, sampling, codec = (times(list(parts[:, n])) for n in range(3))
    return Stages(times(texts), lm, sampling, codec, times(_wire(model, repeats)))


def _wire(model: MusicModel, repeats: int) -> list[float]:
    spec = model.spec
    wave = np.zeros((spec.channels, spec.hop_length), np.float32)
    context = zmq.Context()
    ends = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    try:
        for end in ends:
            end.setsockopt(zmq.LINGER, 0)
        port = ends[0].bind_to_random_port("tcp://127.0.0.1")
        ends[1].connect(f"tcp://127.0.0.1:{port}")
        found = []
        for number in range(repeats + 5):
            began = time.perf_counter()
            ends[0].send_multipart(translate.from_output(1, AudioOut(number * wave.shape[1], 1, wave)))
            translate.decode(ends[1].recv_multipart())
            found.append(time.perf_counter() - began)
        return found[5:]  # the first ones wait for the connection
    finally:
        for end in ends:
            end.close()
        context.term()


@torch.inference_mode()
def together(
    runner: Runner, columns: int, counts: Sequence[int], rounds: int, progress: Progress
) -> list[Together]:
    """Thread: main. Frames of 1, 2, ... sessions in one batch, in turns."""
    model = runner.model
    lm, spec = model.lm, model.spec
    states = [runner.new_state(columns) for _ in range(max(counts))]
    codecs = [model.codec.decode_stream(1) for _ in states]
    tokens = torch.zeros(2, spec.n_codebooks, dtype=torch.long)
    draws = torch.Generator().manual_seed(0)
    for state in states:
        put(state, columns)
    taken: dict[int, list[float]] = {n: [] for n in counts}

    def frame(some: list[LmState]) -> float:
        began = time.perf_counter()
        for logits, codec in zip(lm.step_together([(tokens, None, state) for state in some]), codecs):
            assert logits is not None
            codec.push(sample(mix_rows(logits, runner.sampling), runner.sampling, draws)[None, :, None])
        seconds = time.perf_counter() - began
        for state in some:
            state.rewind(1)
        return seconds

    for number in range(rounds):
        progress(f"sessions together: round {number + 1} of {rounds}")
        for n in counts:
            frame(states[:n])
            taken[n].append(frame(states[:n]))
    hop = 1000 / spec.frame_rate
    figures = {n: times(seconds) for n, seconds in taken.items()}
    return [Together(n, found, round(hop / found.p50, 3)) for n, found in figures.items()]


def window(model: MusicModel, prompt: str, seconds: float, progress: Progress) -> Window:
    """Thread: main. A guided stream of so many seconds, timed frame by frame from its second frame on."""
    frames = round(seconds * model.spec.frame_rate)
    stream = model.stream(prompt, seed=1, form=Form(frames))
    stream.step()
    taken = []
    for number in range(frames - 1):
        if number % 25 == 0:
            progress(f"a window of {seconds:g} s: {number / model.spec.frame_rate:.1f} s")
        began = time.perf_counter()
        stream.step()
        taken.append(time.perf_counter() - began)
    values = np.array(taken)
    stretches = np.array_split(values, max(1, len(values) // 50))
    best = sum(len(part) * float(np.percentile(part, 5)) for part in stretches)
    lasts = len(values) / model.spec.frame_rate
    return Window(seconds, times(taken), round(lasts / float(values.sum()), 3), round(lasts / best, 3))


def first_audio(model: MusicModel, prompt: str, repeats: int) -> Times:
    """Thread: main. From a prompt that is encoded already to the first hop of its audio."""
    states = model.encode_text(prompt)
    taken = []
    for seed in range(repeats + 1):
        began = time.perf_counter()
        model.stream(states, seed=seed).step()
        taken.append(time.perf_counter() - began)
    return times(taken[1:])
