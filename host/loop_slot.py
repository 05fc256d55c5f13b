"""One slot of the looper: the versions of its loop, what sounds of it, what is being written into it.

Everything happens at once, at the position it is told; the looper decides which position that is, and waits
where it has to (`busy`, `unwritten`). What sounds is what plays and is there: a loop that is still fetched
from the past comes up once the rest of it is sure to be there in time. Knows nothing about tempo, bars or
other slots.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np

from descant.host.events import Wave
from descant.host.loop_memory import History, Layer, PagePool
from descant.host.loop_ramp import Ramp
from descant.host.loop_voice import LoopVoice, rounded
from descant.host.loop_writer import LoopWriter

UNDO_LEVELS = 50
SEAM_SECONDS = 0.010  # a cycle's end into its lead-in, an overdub in and out
FADE_SECONDS = 0.003  # start, stop, mute, one version to another

Stored = tuple[list[int], Fraction, Fraction, bool, bool]  # pages, length, anchor, reversed, half
State = Literal["empty", "recording", "playing", "overdubbing", "replacing", "multiplying", "stopped"]
_WRITING: dict[str, State] = {
    "record": "recording",
    "overdub": "overdubbing",
    "replace": "replacing",
    "multiply": "multiplying",
}


class LoopSlot:
    """See the module. rate: Hz. n_samples: the longest loop. max_block: the most that is rendered at once."""

    def __init__(self, pool: PagePool, channels: int, rate: int, n_samples: int, max_block: int) -> None:
        seam, fade = round(SEAM_SECONDS * rate), round(FADE_SECONDS * rate)
        self.muted = self.soloed = False
        self.gain = 1.0
        self.playing = False
        self.room = n_samples
        self.shortest = 4 * seam
        self.queued = ""  # what is to happen on a line to come, for those who look
        self._layers = [Layer(pool, n_samples) for _ in range(UNDO_LEVELS + 8)]
        self._versions: list[Layer] = [self._layers[0]]
        self._at = 0
        self._spare = self._layers[1:]
        self._ghost: Layer | None = None  # the version that is fading out
        self._retired: list[Layer] = []
        self._writer = LoopWriter(channels, seam, max_block)
        self._multiplied: Layer | None = None  # what a multiply is written into, until it is closed
        self._voice = LoopVoice(channels, seam, max_block)
        self._ramp, self._ghost_ramp = Ramp(fade), Ramp(fade)
        self._audible, self._level = Ramp(fade, 1.0), Ramp(fade, 1.0)
        self._ahead = 2 * fade  # the longest that a ramp takes to 0: one on its way up arrives first
        self._wave: Wave = np.zeros((channels, max_block), np.float32)
        self._sum: Wave = np.zeros((channels, max_block), np.float32)

    @property
    def layer(self) -> Layer:
        """The version that holds now."""
        return self._versions[self._at]

    @property
    def versions(self) -> tuple[int, int]:
        """(how often undo works, how often redo works)."""
        return self._at, len(self._versions) - 1 - self._at

    @property
    def state(self) -> State:
        if self._writer.active and self._writer.end is None:
            return _WRITING[self._writer.kind]
        if self.layer.empty:
            return "empty"
        return "playing" if self.playing else "stopped"

    @property
    def written_from(self) -> Fraction:
        """Where the loop that is being recorded or multiplied begins, exactly."""
        return self.layer.anchor if self._multiplied is None else self._multiplied.anchor

    def cycle_at(self, position: int) -> tuple[int, int]:
        """(start, end) of the cycle at a position, in samples; the loop is not empty."""
        return self._voice.cycle(self.layer, position)

    @property
    def writing(self) -> bool:
        """Whether something is still being written, be it into a version that no longer holds."""
        return self._writer.active

    @property
    def busy(self) -> int:
        """Samples until one version has gone over into another: what changes versions waits for it."""
        over = 0 if self._ghost is None else max(1, self._ghost_ramp.left)
        return max(1, over) if self._writer.failed else over

    def unwritten(self, here: int, speed: int) -> int:
        """Samples from a position on until what has ended is written to its end, at `speed` times real time:
        what writes, copies or moves the loop waits for it. 0 for what has no end yet.
        """
        return self._writer.left(here, speed) if self._writer.active and self._writer.end is not None else 0

    def record(self, anchor: Fraction, source: History, delay: int = 0) -> None:
        """Begin a new loop at an exact position, past or to come. Nothing that has ended is being written."""
        self._let_go()
        old, layer = self.layer, self._new_version(copied=False)
        layer.anchor = anchor
        self._swap(old)
        self.playing = False
        self._writer.begin("record", layer, rounded(anchor), source, delay)

    def multiply(self, anchor: Fraction, source: History, delay: int = 0) -> None:
        """Begin to repeat the loop into a longer one, with the source on top. Nothing is being written."""
        base = self.layer
        self._multiplied = layer = self._take_spare()
        layer.clear()
        layer.anchor = anchor
        self._writer.begin("multiply", layer, rounded(anchor), source, delay, base)

    def close(self, length: Fraction) -> None:
        """The loop that is being recorded or multiplied is this long, exactly: it plays, from its end on in
        phase.
        """
        old = self.layer
        if self._multiplied is not None:
            self._push(self._multiplied)
            self._multiplied = None
        self.layer.length = length
        self._writer.finish(rounded(self.layer.anchor + length))
        self.playing = True
        if old is not self.layer:
            self._swap(old)

    def punch_in(self, kind: Literal["overdub", "replace"], at: int, source: History, delay: int = 0) -> None:
        """Write into the loop that plays, from a position on. Nothing is being written."""
        self._writer.begin(kind, self._new_version(copied=True), at, source, delay)

    def punch_out(self, at: int) -> None:
        """What is being overdubbed ends at a position, or where it has come to if that is past."""
        self._writer.finish(at)

    def play(self, anchor: Fraction | None) -> None:
        """Play, a cycle beginning at an exact position; None: where its cycles lie already."""
        if anchor is not None:
            shift = anchor - self.layer.anchor
            if shift:
                self._leave(self.layer)
            for version in self._versions:
                version.anchor += shift
        self.playing = True

    def stop(self) -> None:
        """Fade out; what is being written is written to its end."""
        self.playing = False

    def undo(self) -> bool:
        """Back to the version before; False where there is none."""
        return self._let_go() or self._go(self._at - 1)

    def redo(self) -> bool:
        return self._go(self._at + 1)

    def turn(self, what: Literal["reverse", "half"]) -> None:
        """A new version that plays backwards, or at half speed; or forwards, or at full speed again."""
        old, layer = self.layer, self._new_version(copied=True)
        if what == "reverse":
            layer.reversed = not layer.reversed
        else:
            layer.half = not layer.half
        self._swap(old)

    def clear(self) -> None:
        """A new version that is empty."""
        self._let_go()
        old = self.layer
        self._new_version(copied=False)
        self._swap(old)

    def load(self, wave: Wave, length: Fraction, anchor: Fraction, lead_in: Wave | None = None) -> bool:
        """A new version from sound [C, T], T >= ceil(length); False where it does not fit. Not while audio
        runs.
        """
        old = self.layer
        layer = self._new_version(copied=False)
        layer.length, layer.anchor = length, anchor
        kept = layer.write(0, wave)
        if lead_in is not None:
            kept = kept and layer.write(0, lead_in, lead_in=True)
        self._swap(old)
        return kept

    def forget_oldest(self) -> bool:
        """Give up the oldest version that can be undone to; False where there is none, or where it or the one
        after it is being written: what is written may have to be given up for what was there before.
        """
        if self._at == 0 or any(self._writer.needs(layer) for layer in self._versions[:2]):
            return False
        oldest = self._versions.pop(0)
        self._at -= 1
        self._retire(oldest)
        return True

    def kept_versions(self) -> list[Layer]:
        """The versions that have a length or are meant to be empty: not the one that is being recorded."""
        kept = list(self._versions)
        if self.state == "recording":
            kept.remove(self.layer)
        return kept

    def take_versions(self, rows: list[Stored], at: int, playing: bool) -> None:
        """Versions read back, on pages that hold their sound already. Before audio runs."""
        for index, row in enumerate(rows):
            layer = self._versions[0] if index == 0 else self._take_spare()
            layer.take(*row)
            if index:
                self._versions.append(layer)
        self._at, self.playing = at, playing

    def add_to(self, out: Wave, position: int, audible: bool) -> None:
        """Thread: audio. Add what sounds of the slot to out [C, n], n <= max_block, from a position on."""
        n = out.shape[1]
        if self._ramp.silent and self._ghost is None:
            self._audible.rest(audible)
            self._level.rest(self.gain)
        self._ramp.to(self._sounds(position, n))
        if self._ramp.silent and self._ghost is None:
            return
        total = self._sum[:, :n]
        if self._ramp.silent:
            total[:] = 0.0
        else:
            self._voice.read(self.layer, position, total)
            self._ramp.apply(total)
        if self._ghost is not None:
            wave = self._wave[:, :n]
            self._voice.read(self._ghost, position, wave)
            self._ghost_ramp.apply(wave)
            total += wave
            if self._ghost_ramp.silent:
                self._ghost = None
                self._sweep()
        self._audible.to(audible)
        self._audible.apply(total)
        self._level.to(self.gain)
        self._level.apply(total)
        out += total

    def catch_up(self, budget: int, until: int) -> bool:
        """Thread: audio. Write what has come of the source before a position. False when memory has run out:
        then it is as if that had never begun.
        """
        if self._writer.active:
            self._writer.advance(budget, until)
        if self._writer.failed and self._ghost is None:
            self._writer.failed = False
            self._drop(self._writer.layer)
            return False
        return True

    def _sounds(self, position: int, n: int) -> bool:
        """Whether the loop plays and is there, for so long that it could fade out before it is not."""
        return (
            self.playing and not self.layer.empty and self._writer.has(self.layer, position, n + self._ahead)
        )

    def _let_go(self) -> bool:
        """Write no more. True where that was a loop without a length yet: it is as if it had never begun.
        Anything else ends without a step, while another version may hold already: one can come back to it.
        """
        if self._multiplied is not None or self.state == "recording":
            self._writer.abandon()
            self._drop(self._writer.layer)
            return True
        if self.state in ("overdubbing", "replacing"):
            self._writer.finish()
        return False

    def _drop(self, layer: Layer) -> None:
        """A version that is given up is none any more; the one before it holds in its place."""
        if layer is self._multiplied:
            self._multiplied = None
        elif layer in self._versions:
            at, old = self._versions.index(layer), self.layer
            del self._versions[at]
            if at <= self._at:
                self._at -= 1
            if layer is old:
                self._swap(old)
        self._retire(layer)

    def _go(self, at: int) -> bool:
        if not 0 <= at < len(self._versions):
            return False
        old, self._at = self.layer, at
        self._swap(old)
        return True

    def _swap(self, old: Layer) -> None:
        """What sounds goes over from one version into the one that holds now."""
        self._leave(old)
        if self.layer.empty:
            self._ramp.rest(0.0)

    def _leave(self, old: Layer) -> None:
        """Let the sound of a version fade while the current one comes up."""
        if self._ramp.silent or old.empty:
            return
        if old is self.layer:  # the same version from another anchor
            old = self._take_spare()
            old.copy_from(self.layer)
            self._retired.append(old)
        self._ghost = old
        self._ghost_ramp, self._ramp = self._ramp, self._ghost_ramp
        self._ghost_ramp.to(0.0)
        self._ramp.rest(0.0)

    def _new_version(self, copied: bool) -> Layer:
        """A version after the current one, and the one that holds from now on."""
        layer = self._take_spare()
        if copied:
            layer.copy_from(self.layer)
        else:
            layer.clear()
        self._push(layer)
        return layer

    def _push(self, layer: Layer) -> None:
        while len(self._versions) - 1 > self._at:
            self._retire(self._versions.pop())
        self._versions.append(layer)
        self._at += 1
        if self._at > UNDO_LEVELS:
            self.forget_oldest()

    def _take_spare(self) -> Layer:
        return self._spare.pop()

    def _retire(self, layer: Layer) -> None:
        """No version any more; its memory goes back once it is no longer heard."""
        if self._writer.needs(layer):
            self._writer.abandon()
        self._retired.append(layer)
        self._sweep()

    def _sweep(self) -> None:
        for layer in self._retired:
            if layer is not self._ghost:
                layer.clear()
                self._spare.append(layer)
        self._retired = [layer for layer in self._retired if layer is self._ghost]
