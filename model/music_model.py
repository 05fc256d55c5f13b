"""MusicModel: a codec, a language model and a text encoder that belong together, and the ways to use them.

Holds weights, never the state of a performance: streams own theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from descant.model.codec.codec import Codec
from descant.model.columns import Form
from descant.model.conditions.chroma import LineListener, check_wave
from descant.model.conditions.clips import clip_for
from descant.model.conditions.conditions import Conditions
from descant.model.conditions.controls import batch_controls
from descant.model.conditions.prefix_chroma import PrefixChroma
from descant.model.conditions.prefix_listener import PrefixListener
from descant.model.conditions.steady_beat import steady_beat
from descant.model.conditions.text import PromptEncoder, TextStates, pad_states, pad_weights
from descant.model.conditions.text_blend import blend
from descant.model.errors import ModelError
from descant.model.generator import Generator, Guided
from descant.model.lm.inputs import check_control_names
from descant.model.lm.music_lm import MusicLm
from descant.model.sampling import Sampling
from descant.model.spec import ModelSpec

MAX_SECONDS = 3600.0


class MusicModel:
    """What `load_model` gives. Weights are read-only and may be shared by any number of streams.

    spec: its numbers and the controls it accepts. codec: waves <-> codes. lm: the language model. text:
        prompts to
    token states, None if the model reads no text. weights_hash: sha256 (hex) that names the weights in takes
    and snapshots.
    """

    def __init__(
        self, spec: ModelSpec, codec: Codec, lm: MusicLm, text: PromptEncoder | None, weights_hash: str
    ) -> None:
        assert lm.spec == spec.lm
        self.spec, self.codec, self.lm, self.text, self.weights_hash = spec, codec, lm, text, weights_hash

    def encode_text(self, text: str | TextStates | None) -> TextStates | None:
        """A prompt as token states; None for the null text (None or blank). Raises ModelError."""
        if text is None:
            return None
        if isinstance(text, TextStates):
            shape, weights = tuple(text.states.shape), text.weights
            fits = len(shape) == 2 and shape[1] == self.spec.lm.text_dim
            fits = fits and bool(torch.isfinite(text.states).all())
            if weights is not None:
                fits = fits and tuple(weights.shape) == shape[:1] and bool(torch.isfinite(weights).all())
                if self.spec.lm.text_form == "prefix":
                    raise ModelError(
                        "A blend of prompts was given to a model that reads text before the music.",
                        "The prompt in use is unchanged.",
                        "Give one prompt, or load a model with cross-attention to blend in.",
                    )
            if not fits:
                raise ModelError(
                    f"Text states have shape {shape}; allowed: [n, {self.spec.lm.text_dim}] finite numbers.",
                    "The prompt in use is unchanged.",
                    "Encode the prompt with this model's own text encoder.",
                )
            return text
        if self.text is None:
            raise ModelError(
                "This model reads no text.",
                f"It accepts: {', '.join(self.spec.controls) or 'no conditions'}.",
                "Leave the prompt out.",
            )
        return self.text.encode(text)

    def blend(self, prompts: Mapping[str, float]) -> TextStates:
        """Prompts and their weights as one prompt, for `stream`, `generate` and `Generator.set`.

        weights: 0 and more; only their ratios count. Raises ModelError.
        """
        encoded = [(self.encode_text(prompt), weight) for prompt, weight in prompts.items()]
        return blend([(states, weight) for states, weight in encoded if states is not None])

    def hear_melody(self, wave: Any, rate: float) -> Tensor:
        """A clip as this model would hear its melody, at the frame rate: [F, dim], F = ceil(seconds * rate).

        For a melody by the frame: the sung or played line, zeros at rests. For one before the music: the
        reference's chroma, the loudest pitch class whatever sounds; its frames are each about their start.
        wave: [T] or [C, T], see check_wave. Raises ModelError; also if the model follows no melody.
        """
        mono, known_rate = check_wave(wave, rate)
        listener = self.melody_listener(known_rate)
        listener.push(mono)
        return listener.finish()

    def melody_listener(self, rate: float) -> LineListener | PrefixListener:
        """Hears a clip at `rate` Hz (4000..384000) while it comes: `push` [n] float32, `finish` -> [F, dim].

        What hear_melody gives for the whole clip, to the bit, however it is cut. A silent clip is for the
        caller to refuse. Raises ModelError if the model follows no melody.
        """
        control = next((control for control in self.spec.lm.controls if control.name == "melody"), None)
        if control is None or (control.form == "frame" and control.dim != 12):
            check_control_names(["melody"], self.spec.lm.controls, reads_text=self.spec.lm.text_dim > 0)
            raise ModelError(
                f"The melody of {self.spec.name} has {control.dim if control else 0} values; allowed: 12.",
                "The melody in use is unchanged.",
                "Give its vectors frame by frame.",
            )
        if control.form == "frame":
            return LineListener(rate, self.spec.frame_rate)
        codec = self.spec.codec
        return PrefixListener(
            PrefixChroma(control.dim, hop=codec.hop_length, sample_rate=codec.sample_rate), rate
        )

    def conditions(
        self, text: Sequence[str | None] | str | None = None, melody: Any = None, **controls: Any
    ) -> Conditions:
        """Conditions of a batch, for teacher-forced use of `lm`: one row a prompt.

        text: prompts, one a row (None or blank: null); a single prompt or None: one row.
        melody, controls: as `Generator.set` takes them, functions excepted, for all rows; or [B, F, dim]
            tensors.
        Raises ModelError; for an unknown name with the list of accepted ones.
        """
        prompts = (text,) if text is None or isinstance(text, str) else tuple(text)
        values = {**controls, "melody": melody} if melody is not None else dict(controls)
        check_control_names(values, self.spec.lm.controls, reads_text=self.spec.lm.text_dim > 0)
        rows = [self.encode_text(prompt) for prompt in prompts]
        states, mask = pad_states(rows, self.spec.lm.text_dim)
        tensors = batch_controls(
            self.spec.lm.controls, values, len(rows), self.spec.frame_rate, self.spec.sample_rate
        )
        return Conditions(states, mask, tensors, pad_weights(rows), prompts)

    def stream(
        self,
        text: str | TextStates | None = None,
        melody: Any = None,
        seed: int = 0,
        sampling: Sampling | None = None,
        max_rewind: int = 128,
        *,
        guided: Guided = None,
        loop: bool = True,
        form: Form | None = None,
        prompt: Any = None,
        emit_prompt: bool = True,
        **controls: Any,
    ) -> Generator:
        """A stream of music: `step()` gives [C, hop_length] at a time; without end, unless the form has one.

        text, melody, controls, loop: as `Generator.set`, the first row of a control at frame 0. seed: 0 ..
            2^64 - 1; the same seed and conditions give the same samples. max_rewind: frames.
        guided: None = if guidance is not 1; "double" for a sampling with beta. form: see columns.Form.
        prompt: music to go on from, (wave [C, T], sample_rate) or codes [K, F] int64; emit_prompt: whether
            it sounds first.
        Raises ModelError.
        """
        values = {**controls, "melody": melody} if melody is not None else controls
        sampling = sampling if sampling is not None else Sampling()
        codes = None if prompt is None else self.prompt_codes(prompt)
        stream = Generator(
            self,
            seed=seed,
            sampling=sampling,
            max_rewind=max_rewind,
            guided=guided,
            form=form,
        )
        stream.set(text, loop=loop, **values)
        if codes is not None:
            stream.go_on_from(codes, emit_prompt)
        return stream

    def prompt_codes(self, prompt: Any) -> Tensor:
        """Music to go on from as codes [K, F]: whole frames of (wave [C, T] or [T], rate), or codes as given.

        Raises ModelError.
        """
        if isinstance(prompt, Tensor):
            return prompt.to(torch.int64)
        codec = self.spec.codec
        wave = clip_for(prompt, codec.channels, codec.sample_rate)
        whole = wave.shape[-1] // codec.hop_length * codec.hop_length
        if whole == 0:
            raise ModelError(
                f"The prompt lasts {wave.shape[-1] / codec.sample_rate:.3f} s; allowed: one frame "
                f"({codec.hop_length / codec.sample_rate:.3f} s) and more.",
                "Nothing was started.",
                "Give some seconds of music to go on from.",
            )
        codes: Tensor = self.codec.encode(wave[None, :, :whole])[0]
        return codes

    def generate(
        self,
        text: str | TextStates | None = None,
        melody: Any = None,
        seconds: float = 8.0,
        seed: int = 0,
        sampling: Sampling | None = None,
        *,
        loop: bool = True,
        bpm: float | None = 120.0,
        drain: bool = True,
        prompt: Any = None,
        **controls: Any,
    ) -> Tensor:
        """So many seconds of music: [C, round(seconds * sample_rate)] float32, the samples `stream` gives.

        seconds: above 0, up to 3600 (stream for longer), a prompt's included. Models with windows are given
        the length, as their references are: form Form(frames, drain). bpm: tempo of a steady beat in 4/4,
        for models with a control "beat" that is not given; None: no beat, which leaves them without a pulse
        to hold on to. The rest as in `stream`. Raises ModelError.
        """
        valid = (
            isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= MAX_SECONDS
        )
        n_samples = round(seconds * self.spec.sample_rate) if valid else 0
        if n_samples < 1:
            raise ModelError(
                f"Cannot generate {seconds!r} seconds; allowed: more than 0, up to {MAX_SECONDS:g}.",
                "Nothing was generated.",
                "Choose a length within these bounds, or use stream() for music without end.",
            )
        frames = math.ceil(n_samples / self.spec.hop_length)
        windows = self.spec.lm.window is not None
        if bpm is not None and "beat" not in controls and "beat" in self.spec.controls:
            controls["beat"] = steady_beat(bpm, self.spec.frame_rate)
        form = Form(frames, drain) if windows else Form()
        stream = self.stream(text, melody, seed, sampling, 0, loop=loop, form=form, prompt=prompt, **controls)
        return torch.cat([stream.step() for _ in range(frames)], dim=-1)[:, :n_samples]
