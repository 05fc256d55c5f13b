"""How far each kernel is from fp32, teacher forced: equal likeliest tokens and KL, with outliers and without.

The embedded model's weights are trained, so agreement means something on its own tokens; random weights of
MusicGen-small's shape say flat things, and only the divergence counts there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descant.host.edge.outliers import LOUD, another_function, same_function
from descant.model import MusicModel, load_model
from descant.model.conditions.steady_beat import steady_beat
from descant.model.errors import ModelError
from descant.model.lm.inputs import LmInputs, stack_controls
from descant.model.lm.music_lm import MusicLm
from descant.model.patterns import pattern_of
from descant.model.spec import LmSpec

GUIDANCE = 3.0
# kernel, keys and values as bytes
FORMATS = ("fp16", "int8", "native-bf16", "native-int8", "native-int8-kv8", "native-int4")
PROMPTS: tuple[tuple[str, float], ...] = (  # words, bpm
    ("lofi hip hop with a warm electric piano", 84.0),
    ("fast funk with slap bass and trumpet", 112.0),
    ("slow strings over a deep bass", 70.0),
    ("bright pop with flute and piano", 120.0),
    ("driving techno with synth lead", 128.0),
    ("calm jazz with acoustic guitar", 96.0),
)
HELD, BAR = "native-int8", 0.99  # the format held to an agreement, where the weights are trained ones
TRAINED = "as trained"
LOUD_INPUTS = "loud activations"
LOUD_WEIGHTS = "loud weights"
RANDOM = "random, small's shape"
LEGEND = (
    "guided (by 3), unguided: share of codes whose likeliest token is fp32's; KL: mean divergence from its "
    "distribution, nats. Teacher forced on what the embedded model plays; loud: 20 times as large, function "
    "unchanged; random: random weights and tokens, whose logits are flat, so that only KL tells."
)
_SPECIAL_COLUMNS = 3  # RANDOM has no pattern of its own to leave out: the delay's first columns


@dataclass(frozen=True)
class Distance:
    """One line of the table.

    weights: whose. agreement: share of codes whose likeliest is the same. divergence: mean KL from fp32's
    distribution, nats. codes: how many were compared. missing: why there is no figure, else empty.
    """

    weights: str
    kernel: str
    guidance: float
    agreement: float
    divergence: float
    codes: int
    missing: str = ""

    @property
    def must_agree(self) -> bool:
        """Whether it is one of those that are held to BAR."""
        return self.kernel == HELD and self.weights != RANDOM and not self.missing


@dataclass(frozen=True)
class Piece:
    """What a decoder is forced through. tokens: [R, K, S]. inputs: of R rows, conditioned ones first, as many
    null ones after them. told: [K, S] bool, where the column after holds a code."""

    tokens: Tensor
    inputs: LmInputs
    told: Tensor


def measure(
    seconds: float, prompts: int, loud: int, layers: int, progress: Callable[[str], None]
) -> Iterator[Distance]:
    """Thread: main. The whole table, row by row. seconds: of each prompt; loud: outliers a norm; layers: of
    the random decoder, 0 leaves it out. Raises ModelError."""
    progress("playing what is forced")
    model = load_model("embedded", kernel="fp32")
    pieces = [own_piece(model, words, bpm, seconds) for words, bpm in PROMPTS[:prompts]]
    yield from distances(TRAINED, model.lm, pieces, progress)
    for name, activations in ((LOUD_INPUTS, True), (LOUD_WEIGHTS, False)):
        yield from distances(name, same_function(model.lm, activations, loud), pieces, progress)
    if layers:
        progress(f"{RANDOM}: drawing weights")
        lm, piece = random_piece(layers, loud)
        yield from distances(RANDOM, lm, [piece], progress)


def own_piece(model: MusicModel, words: str, bpm: float, seconds: float) -> Piece:
    """So many seconds of what the model itself plays to words, a beat and a scale for a melody."""
    frames = round(seconds * model.spec.frame_rate)
    beat = steady_beat(bpm, model.spec.frame_rate)
    controls: dict[str, Any] = {
        "beat": torch.tensor([beat(frame) for frame in range(frames)]),
        "melody": torch.eye(12).repeat_interleave(25, dim=0).repeat(-(-frames // 300), 1)[:frames],
    }
    stream = model.stream(words, seed=1, max_rewind=0, **controls)
    while stream.tokens.shape[-1] < frames:
        stream.step()
    lm = model.spec.lm
    pattern = pattern_of(lm)
    columns = pattern.to_columns(stream.tokens[None, :, :frames], lm.special)
    given = model.conditions(words, **controls).guided(lm.controls)
    told = pattern.holds(frames)[:, 1:]
    return Piece(columns[:, :, :-1].expand(2, -1, -1), given, told)


def random_piece(layers: int, loud: int = LOUD, columns: int = 96) -> tuple[MusicLm, Piece]:
    """A random decoder of MusicGen-small's shape with outliers, and random tokens for it, with words and
    without."""
    spec = LmSpec(1024, layers, 16, 4096, 4, 2048, (0, 1, 2, 3), text_dim=768)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lm = another_function(MusicLm(spec), loud)
    draw = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, spec.cardinality, (1, 4, columns), generator=draw).expand(2, -1, -1)
    text = torch.randn(1, 12, spec.text_dim, generator=draw)
    mask = torch.tensor([[True], [False]]).expand(2, 12)
    told = torch.ones(4, columns, dtype=torch.bool)
    told[:, :_SPECIAL_COLUMNS] = False
    return lm, Piece(tokens, LmInputs(text.expand(2, -1, -1) * mask[..., None], mask), told)


def distances(
    name: str, lm: MusicLm, pieces: Sequence[Piece], progress: Callable[[str], None]
) -> Iterator[Distance]:
    """Every format's distance from `lm.forward`, guided and not."""
    progress(f"{name}: fp32")
    exact = [_mixes(_forced_whole(lm, piece), piece) for piece in pieces]
    for kernel in FORMATS:
        progress(f"{name}: {kernel}")
        try:
            lm.use_kernel(kernel)
        except ModelError as error:
            for guidance in (GUIDANCE, 1.0):
                yield Distance(name, kernel, guidance, 0.0, 0.0, 0, error.what)
            continue
        coarse = [_mixes(forced_steps(lm, piece), piece) for piece in pieces]
        for which, guidance in enumerate((GUIDANCE, 1.0)):
            p, q = (torch.cat([mixes[which] for mixes in found]) for found in (exact, coarse))
            same = float((p.argmax(dim=-1) == q.argmax(dim=-1)).double().mean())
            p, q = p.double().log_softmax(dim=-1), q.double().log_softmax(dim=-1)
            apart = float((p.exp() * (p - q)).sum(dim=-1).mean())
            yield Distance(name, kernel, guidance, same, apart, len(p))
    lm.use_kernel("fp32")


@torch.inference_mode()
def _forced_whole(lm: MusicLm, piece: Piece) -> Tensor:
    """[R, K, S, cardinality] in full precision, all columns at once."""
    logits: Tensor = lm(piece.tokens, piece.inputs)
    return logits


@torch.inference_mode()
def forced_steps(lm: MusicLm, piece: Piece) -> Tensor:
    """The same, column after column, by the kernel in use."""
    rows, _, columns = piece.tokens.shape
    state = lm.new_state(rows, lm.spec.context or columns)
    lm.set_text(state, piece.inputs.text, piece.inputs.text_mask)
    given = None
    if lm.spec.frame_controls:
        given = stack_controls(piece.inputs.controls, lm.spec.frame_controls, rows, columns, lm.embedding)
    found = [
        lm.step(piece.tokens[:, :, s], None if given is None else given[:, s], state) for s in range(columns)
    ]
    return torch.stack([logits for logits in found if logits is not None], dim=2)


def _mixes(logits: Tensor, piece: Piece) -> tuple[Tensor, Tensor]:
    """[R, K, S, cardinality] -> guided and unguided logits of the codes, each [codes, cardinality]."""
    half = logits.shape[0] // 2
    words, null = logits[:half], logits[half:]
    told = piece.told.expand(half, -1, -1)
    return torch.lerp(null, words, GUIDANCE)[told], words[told]
