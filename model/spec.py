"""The frozen numbers of a codec, a language model and its controls; all others derive from them here.

Knows nothing about tensors, weights or files. Nobody else writes 32000, 640 or 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CodecSpec:
    """What every codec answers to, whatever is inside it.

    sample_rate: Hz, the codec's own. channels: audio channels. hop_length: samples per frame.
    n_codebooks: K, residual codebooks per frame. cardinality: entries per codebook.
    lookahead: samples of output that are not yet final when the frames they belong to have been pushed:
        after N frames a stream has given N * hop_length - lookahead samples (never less than 0).
    """

    sample_rate: int
    channels: int
    hop_length: int
    n_codebooks: int
    cardinality: int
    lookahead: int = 0

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def lookahead_frames(self) -> int:
        """Whole frames beyond frame f that must be known before frame f's samples are final."""
        return -(-self.lookahead // self.hop_length)

    def frames_of(self, n_samples: int) -> int:
        """Frames that cover n_samples samples (the last one may be part empty)."""
        return -(-n_samples // self.hop_length)


@dataclass(frozen=True)
class ControlSpec:
    """One control a model accepts besides text.

    form "frame": a vector of size dim for each frame, added (projected) to the language model's input of the
        column that predicts codebook 0 of that frame, so it acts at once.
    form "prefix": `length` vectors, projected, before the token columns (MusicGen's melody models). Those
        heard in a whole window of the model are given at once; a change needs the columns to be run again.
    guided: whether classifier-free guidance nulls it in the unconditional branch.
    A frame whose control is absent is all zeros: zeros are the null. null: of a prefix control, the place of
        the one-hot vector that stands for absent instead (MusicGen: 0).
    """

    name: str
    dim: int
    form: Literal["frame", "prefix"] = "frame"
    guided: bool = True
    doc: str = ""
    length: int = 0
    null: int | None = None


@dataclass(frozen=True)
class LmSpec:
    """Shape of a MusicGen decoder.

    dim: width d. head_dim = dim / n_heads. ffn_dim: inner width of the feed-forward part.
    delays: delay in columns per codebook (delay pattern), ascending, delays[0] == 0; see patterns.py for
    others.
    positions: "sinusoidal" as MusicGen in Hugging Face's float32 form, "sinusoidal_audiocraft" in
        audiocraft's, or "rope" (rotary, for finite context that streams for ever).
    context: columns each position may attend to, itself included; None: all of them.
    text_dim: width of the text encoder's token states; 0: none. text_form: where they go, projected:
        "cross"-attention, or "prefix": before the token columns, after the prefix controls.
    text_padding: in a batch, padded text is "masked" (Hugging Face) or attended to as "zeros" (audiocraft).
    pattern: how codes are written into columns, see patterns.make_pattern; flattening: for pattern "flatten".
    flatten_first: frames of a piece that come first, a code a column, for pattern "delay"; empty_initial:
        columns without codes before everything, for "delay" and "parallel"; group_by: codebooks of a group,
        for pattern "grouped", by default 2.
    window: frames of the sequences it was trained on, so that longer music needs a new window of `stride`
        frames later (model without a finite context); None: it may go on for ever.
    """

    dim: int
    n_layers: int
    n_heads: int
    ffn_dim: int
    n_codebooks: int
    cardinality: int
    delays: tuple[int, ...]
    positions: Literal["sinusoidal", "sinusoidal_audiocraft", "rope"] = "sinusoidal"
    context: int | None = None
    text_dim: int = 0
    controls: tuple[ControlSpec, ...] = ()
    norm_eps: float = 1e-5
    text_form: Literal["cross", "prefix"] = "cross"
    text_padding: Literal["masked", "zeros"] = "masked"
    pattern: Literal["delay", "parallel", "flatten", "coarse_first", "grouped"] = "delay"
    flattening: tuple[int, ...] | None = None
    flatten_first: int = 0
    empty_initial: int = 0
    group_by: int | None = None
    window: int | None = None
    stride: int | None = None

    @property
    def frame_controls(self) -> tuple[ControlSpec, ...]:
        """Controls added to each column's input."""
        return tuple(control for control in self.controls if control.form == "frame")

    @property
    def prefix_controls(self) -> tuple[ControlSpec, ...]:
        """Controls put before the columns."""
        return tuple(control for control in self.controls if control.form == "prefix")

    @property
    def has_prefix(self) -> bool:
        """Whether anything stands before the columns."""
        return bool(self.prefix_controls) or (self.text_dim > 0 and self.text_form == "prefix")

    @property
    def crosses(self) -> bool:
        """Whether layers have cross-attention."""
        return self.text_dim > 0 and self.text_form == "cross"

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def special(self) -> int:
        """The token that stands where the pattern has none (also start and pad): one past the last code."""
        return self.cardinality

    @property
    def max_delay(self) -> int:
        return max(self.delays)


@dataclass(frozen=True)
class ModelSpec:
    """What a loaded MusicModel says of itself (`m.spec`)."""

    name: str
    codec: CodecSpec
    lm: LmSpec

    @property
    def sample_rate(self) -> int:
        return self.codec.sample_rate

    @property
    def channels(self) -> int:
        return self.codec.channels

    @property
    def hop_length(self) -> int:
        return self.codec.hop_length

    @property
    def frame_rate(self) -> float:
        return self.codec.frame_rate

    @property
    def n_codebooks(self) -> int:
        return self.codec.n_codebooks

    @property
    def cardinality(self) -> int:
        return self.codec.cardinality

    @property
    def controls(self) -> tuple[str, ...]:
        """Names accepted by `conditions()` and `set()`: "text" (if the model reads text) and each control."""
        text = ("text",) if self.lm.text_dim else ()
        return text + tuple(control.name for control in self.lm.controls)

    @property
    def lag(self) -> int:
        """Samples from an LM step to the last one that needs it beyond its frame: delay plus lookahead."""
        return self.lm.max_delay * self.codec.hop_length + self.codec.lookahead
