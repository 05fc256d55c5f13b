"""What a performer can tell the host, as methods: each checks its values, makes one message and queues it.

Knows nothing about sockets or threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from descant.plugin_bridge import wire
from descant.plugin_bridge.errors import Code, WireError
from descant.plugin_bridge.fields import Wave

MIXED = 6
"""The most pads that are mixed."""
MAX_CAPTURE_SAMPLES = 2**23
"""Samples per channel of one clip: 175 s at 48 kHz."""


class Events:
    """Thread: user, all of it. at_sample: when, on the client's timeline; None is the playhead.

    Every method gives False when there is no host to tell (or too much waits), and raises WireError for a
    value that no host would accept.
    """

    sample_rate: int
    _clips: Iterator[int]

    @property
    def playhead(self) -> int:
        raise NotImplementedError

    def _send(self, message: wire.Message) -> bool:
        raise NotImplementedError

    def _room(self) -> int:
        raise NotImplementedError

    def tell(self, message: wire.Message) -> bool:
        """Send any message of the table."""
        wire.encode(message)
        return self._send(message)

    def trigger(
        self,
        slot: int,
        velocity: int = 127,
        action: Literal["press", "release"] = "press",
        at_sample: int | None = None,
    ) -> bool:
        """A pad. slot, velocity: 0..127."""
        return self.tell(wire.Trigger(slot, velocity, action, at_sample=self._when(at_sample)))

    def note_on(
        self, key: int, velocity: int = 100, midi_channel: int = 0, at_sample: int | None = None
    ) -> bool:
        """A key goes down; velocity 0 is a note off, as in raw MIDI."""
        if velocity == 0:
            return self.note_off(key, 0, midi_channel, at_sample)
        return self.tell(wire.NoteOn(midi_channel, key, velocity, at_sample=self._when(at_sample)))

    def note_off(
        self, key: int, velocity: int = 0, midi_channel: int = 0, at_sample: int | None = None
    ) -> bool:
        """A key comes up."""
        return self.tell(wire.NoteOff(midi_channel, key, velocity, at_sample=self._when(at_sample)))

    def control(
        self, controller: int, value: int, midi_channel: int = 0, at_sample: int | None = None
    ) -> bool:
        """A control change. controller, value: 0..127."""
        return self.tell(wire.Control(midi_channel, controller, value, at_sample=self._when(at_sample)))

    def program(self, program: int, midi_channel: int = 0, at_sample: int | None = None) -> bool:
        """A program change. program: 0..127."""
        return self.tell(wire.Program(midi_channel, program, at_sample=self._when(at_sample)))

    def parameter(self, name: str, value: float, at_sample: int | None = None) -> bool:
        """Set one parameter of the session."""
        return self.tell(wire.Parameter(name, value, at_sample=self._when(at_sample)))

    def prompt(self, text: str, slot: int = 0, at_sample: int | None = None) -> bool:
        """Bind words (1..2000 characters) to a slot."""
        return self.tell(wire.Prompt(slot, text, at_sample=self._when(at_sample)))

    def key_prompt(self, text: str, key: int, at_sample: int | None = None) -> bool:
        """Let a key play words of its own (up to 2000 characters); "" gives it back to the preset."""
        return self.tell(wire.KeyPrompt(key, text, at_sample=self._when(at_sample)))

    def mix(self, shares: Sequence[float], at_sample: int | None = None) -> bool:
        """How much of the pads 0..5 is in the words, by weight 0..1; all 0: as x and y say."""
        padded = [*shares, *[0.0] * (MIXED - len(shares))]
        if len(padded) > MIXED:
            raise WireError(
                Code.RANGE,
                f"{len(shares)} pads cannot be mixed.",
                "Nothing was sent; the music goes on as it was.",
                f"Give at most {MIXED} weights.",
            )
        return self.tell(wire.Mix(*padded, at_sample=self._when(at_sample)))

    def preset(self, name: str, at_sample: int | None = None) -> bool:
        """Change to the named preset."""
        return self.tell(wire.Preset(name, at_sample=self._when(at_sample)))

    def transport(
        self,
        tempo: float,
        beat: float = 0.0,
        numerator: int = 4,
        denominator: int = 4,
        playing: bool = True,
        loop: tuple[float, float] | None = None,
        at_sample: int | None = None,
    ) -> bool:
        """The transport from at_sample on. tempo: quarters per minute; beat, loop: quarters from start."""
        start, end = loop or (0.0, 0.0)
        return self.tell(
            wire.Transport(
                tempo,
                beat,
                numerator,
                denominator,
                playing,
                start,
                end,
                loop is not None,
                at_sample=self._when(at_sample),
            )
        )

    def mode(self, mode: Literal["realtime", "offline"]) -> bool:
        """Real time or offline rendering."""
        return self.tell(wire.Mode(mode, at_sample=self.playhead))

    def capture(
        self,
        wave: Wave,
        sample_rate: int | None = None,
        role: Literal["melody", "live"] = "melody",
        at_sample: int | None = None,
    ) -> bool:
        """A whole clip [C, n] (or [n]) float32 at sample_rate (None: the client's), in pieces.

        All of it is queued or none. Raises WireError for an empty, too long or non-finite clip.
        """
        wave = np.atleast_2d(wave).astype(np.float32, copy=False)
        n = wave.shape[1]
        if not 1 <= n <= MAX_CAPTURE_SAMPLES:
            raise WireError(
                Code.SIZE,
                f"The clip has {n} samples.",
                "Nothing was sent; the music goes on as it was.",
                f"Give 1 to {MAX_CAPTURE_SAMPLES} samples ({MAX_CAPTURE_SAMPLES / 48000:.0f} s at 48 kHz).",
            )
        rate, when, clip = sample_rate or self.sample_rate, self._when(at_sample), next(self._clips)
        step = wire.MAX_BLOCK_SAMPLES
        pieces = [
            wire.Capture(
                clip, rate, i, start + step >= n, role, wave[:, start : start + step], at_sample=when
            )
            for i, start in enumerate(range(0, n, step))
        ]
        for piece in pieces:
            wire.encode(piece)
        if self._room() < len(pieces):
            return False
        sent = [self._send(piece) for piece in pieces]
        return all(sent)

    def _when(self, at_sample: int | None) -> int:
        return self.playhead if at_sample is None else at_sample
