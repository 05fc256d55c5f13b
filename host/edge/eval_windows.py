"""How evenly a model with windows makes its frames for minutes: the gaps between them, shadowed or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from descant.host.errors import HostError
from descant.model import MusicModel, load_model
from descant.model.codec.tonebank import TonebankCodec
from descant.model.columns import Form
from descant.model.lm.music_lm import MusicLm
from descant.model.spec import LmSpec, ModelSpec


@dataclass(frozen=True)
class Gaps:
    """form: of the stream. p50, p99, longest: milliseconds from frame to frame. budget: of a frame.

    most_columns: columns of the language model run between two frames. over_budget: gaps above the budget.
    work_p50, work_longest: milliseconds of processor time that a frame took, and work_over: frames that took
    more than the budget; on a machine that others use, too, these and the columns tell what the model needs.
    """

    model: str
    form: str
    frames: int
    windows: int
    p50: float
    p99: float
    longest: float
    most_columns: int
    over_budget: int
    work_p50: float
    work_longest: float
    work_over: int
    budget: float


def stand_in() -> MusicModel:
    """The embedded model's codec and text with MusicGen's decoder at a size that any machine runs: sinusoidal
    positions, 30 s windows, 18 s apart. Its weights are random: time does not depend on them."""
    embedded = load_model("embedded")
    codec = embedded.codec
    assert isinstance(codec, TonebankCodec)
    spec = LmSpec(
        128, 4, 2, 512, 4, codec.spec.cardinality, (0, 1, 2, 3), text_dim=384, window=1500, stride=900
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lm = MusicLm(spec).eval().requires_grad_(False)
    lm.use_kernel(embedded.lm.kernel)
    return MusicModel(ModelSpec("stand-in", codec.spec, spec), codec, lm, embedded.text, "0" * 64)


def measure(name: str | None, minutes: float, progress: Callable[[str], None]) -> list[Gaps]:
    """Thread: main. The gaps of each form over so many minutes of music. Raises ModelError or HostError."""
    model = stand_in() if name is None else load_model(name)
    if model.spec.lm.window is None:
        raise HostError(
            f"{model.spec.name} has no windows: it streams for ever as it is.",
            "Nothing was measured.",
            "Leave the model out, or name a MusicGen.",
        )
    forms = {
        "seamless, shadow": Form(),
        "seamless": Form(shadow=False),
        "drain, shadow": Form(drain=True),
        "drain (audiocraft)": Form(drain=True, shadow=False),
    }
    return [_play(model, what, form, minutes, progress) for what, form in forms.items()]


def _play(model: MusicModel, what: str, form: Form, minutes: float, progress: Callable[[str], None]) -> Gaps:
    frames = round(minutes * 60 * model.spec.frame_rate)
    stream = model.stream("warm piano and slow drums", seed=1, form=form, max_rewind=0)
    for _ in range(10):  # the first frames fill the lags
        stream.step()
    gaps, work, columns, windows = [], [], [], {0}
    before = stream.columns_run
    for number in range(frames):
        began, worked = time.perf_counter(), time.process_time()
        stream.step()
        work.append(1000 * (time.process_time() - worked))
        gaps.append(1000 * (time.perf_counter() - began))
        columns.append(stream.columns_run - before)
        before = stream.columns_run
        windows.add(stream.window_origin)
        if number % 250 == 0:
            progress(f"{what}: {number / model.spec.frame_rate / 60:.1f} of {minutes:g} minutes")
    ordered = torch.tensor(sorted(gaps))
    budget = 1000 / model.spec.frame_rate
    return Gaps(
        model=model.spec.name,
        form=what,
        frames=frames,
        windows=len(windows),
        p50=float(ordered.quantile(0.5)),
        p99=float(ordered.quantile(0.99)),
        longest=float(ordered[-1]),
        most_columns=max(columns),
        over_budget=sum(gap > budget for gap in gaps),
        work_p50=float(torch.tensor(sorted(work)).quantile(0.5)),
        work_longest=max(work),
        work_over=sum(spent > budget for spent in work),
        budget=budget,
    )
