"""The looper: slots that record, play and layer loops of whole bars, told by presses that come at any time.

A press becomes an action at an exact sample: on the transport's line, or at once. `process` is what an
audio callback calls for each block: it copies, adds and returns; all sound memory is there before. Presses
come through a queue, so that any thread may send them. Tempo changes move the lines; a loop that is there
keeps its length. Knows nothing about devices, threads or clocks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from descant.host.events import Wave
from descant.host.loop_memory import PAGE, History, PagePool
from descant.host.loop_press import Press, PressAction, SlotStatus, checked_press, checked_quantise, refused
from descant.host.loop_slot import LoopSlot
from descant.host.loop_voice import HALF, rounded
from descant.host.transport import Timeline

ON_A_LINE = ("play", "stop", "reverse", "half")
REPLACE = ("record", "play", "stop", "multiply", "capture", "overdub", "replace")  # what was queued before
_NOT_MULTIPLIED = (
    "A loop is multiplied while it plays at full speed.",
    "It plays on as it was.",
    "Play it first.",
)
_ON_A_LINE_WANTS: dict[str, Wants] = {
    "play": "written",
    "stop": "still",
    "reverse": "written",
    "half": "written",
}
GRACE = Fraction(1, 4)  # beats after a line in which a recording still begins on it: the past is remembered
CATCH_UP = 16  # times real time that a late recording is fetched from the past


Wants = Literal["still", "written", "free"]


@dataclass(frozen=True)
class _Due:
    """Something to be done at a sample, or soon after, once the slot lets it.

    number: counts up; what is due at the same time is done in this order. name: what `slot.queued` shows
    until then, and what another press on the slot takes the place of; "" for what nobody waits for. wants:
    that no version is going over into another ("still"), that what has ended is written to its end, too
    ("written"), or that nothing is being overdubbed any more, either ("free").
    """

    at: int
    number: int
    slot: int
    name: str
    do: Callable[[], object]
    wants: Wants


class Looper:
    """rate: Hz. pool_seconds: sound all layers together can hold. latency: samples from a sound leaving the
    output to it having come back in at the input; recordings are moved back by it. memory: [n_pages, C,
    PAGE] of the caller's, if it is to outlive this object.

    Thread: audio for `process`; any for `press`, `follow` and `status`; before audio runs for all else.
    """

    def __init__(
        self,
        rate: int,
        channels: int = 2,
        slots: int = 8,
        *,
        pool_seconds: float = 300.0,
        slot_seconds: float = 120.0,
        past_seconds: float = 60.0,
        latency: int = 0,
        quantise: str = "bar",
        max_block: int = 1024,
        memory: Wave | None = None,
    ) -> None:
        self.rate, self.channels, self.latency = rate, channels, latency
        self.quantise = checked_quantise(quantise)
        self.timeline = Timeline.internal(rate, 120)
        self.position = 0  # the first sample not processed yet
        self.changes = 0  # counts what may have changed in the slots
        self.notes: deque[tuple[str, str, str]] = deque(maxlen=64)  # what, still, do: of what could not be
        if memory is None:
            memory = np.zeros((pages_for(pool_seconds, rate), channels, PAGE), np.float32)
        self._pool = PagePool(memory)
        self._pool.reclaim = self._reclaim
        self.input = History(channels, round(past_seconds * rate))
        self.generated = History(channels, round(past_seconds * rate))
        n_samples = round(slot_seconds * rate)
        self.slots = tuple(LoopSlot(self._pool, channels, rate, n_samples, max_block) for _ in range(slots))
        self._max_block = max_block
        self._presses: deque[Press] = deque()
        self._due: list[_Due] = []
        self._planned = 0  # how often anything was
        self._not_before = [0] * slots  # by slot: the position up to which what is due there waits
        self._here = 0

    def press(self, press: Press) -> None:
        """Take a press; it is acted on in the next `process`. Errors: LooperError naming what is allowed."""
        self._presses.append(checked_press(press, len(self.slots)))

    def follow(self, timeline: Timeline) -> None:
        """Time as it is told from now on. Its rate is the looper's."""
        if timeline.grids[0].rate != self.rate:
            raise refused(f"a timeline at {timeline.grids[0].rate} Hz", f"use one at {self.rate} Hz")
        self.timeline = timeline

    def process(self, at: int, heard: Wave, out: Wave, made: Wave | None = None) -> None:
        """Thread: audio. Add the loops to out [C, n] for the samples from `at` on.

        heard: [C, n], the input that came with this block. made: [C, n], what the generator played in it.
        """
        n = out.shape[1]
        self.input.push(at, heard)
        if made is not None:
            self.generated.push(at, made)
        self.position = at
        while self._presses:
            self._take(self._presses.popleft(), at)
        soloed = any(slot.soloed for slot in self.slots)
        done = 0
        while done < n:
            here = at + done
            self._do_what_is_due(here)
            length = min(n - done, self._max_block, self._quiet(here))
            part = out[:, done : done + length]
            for slot in self.slots:
                slot.add_to(part, here, not slot.muted and (slot.soloed or not soloed))
            done += length
            self._write(at + done, CATCH_UP * length)
        self.position = at + n

    def status(self) -> tuple[SlotStatus, ...]:
        """Every slot as it stands."""
        found = []
        for slot in self.slots:
            layer, place = slot.layer, 0.0
            if slot.playing and not layer.empty:
                start, end = slot.cycle_at(self.position)
                place = (self.position - start) / (end - start)
            found.append(
                SlotStatus(
                    slot.state, slot.queued, layer.length * (2 if layer.half else 1), place, *slot.versions,
                    layer.reversed, layer.half, slot.muted, slot.soloed, slot.gain,
                )
            )  # fmt: skip
        return tuple(found)

    def _write(self, until: int, budget: int) -> None:
        """Thread: audio. Put into the loops what came before a position; after what sounds was read, for a
        slot is never heard and overdubbed with the same sound at once.
        """
        for index, slot in enumerate(self.slots):
            self.changes += slot.writing
            if not slot.catch_up(budget, until):
                self._note(
                    f"Loop {index + 1} ran out of memory.",
                    "What was there before plays on.",
                    "Clear slots you do not need.",
                )

    def _take(self, press: Press, now: int) -> None:
        """Thread: audio. Decide what a press means and when."""
        if press.action == "stop all":
            for index in range(len(self.slots)):
                self._take(Press(press.at_sample, index, "stop", press.quantise), now)
            return
        slot = self.slots[press.slot]
        action: PressAction = press.action
        if action == "press":
            action = self._meaning(slot)
        quantise = press.quantise or self.quantise
        queued = slot.queued
        if action in REPLACE:
            self._due = [due for due in self._due if due.slot != press.slot or due.name == ""]
            slot.queued = ""
        if queued == action and queued in ("record", "play", "multiply"):
            return  # the same again takes it back
        if slot.state in ("recording", "multiplying") and action in (
            "record",
            "multiply",
            "play",
            "overdub",
            "stop",
        ):
            self._close(press, slot, quantise, now, then_stop=action == "stop")
        elif action in ("record", "multiply", "capture"):
            self._begin(press, action, slot, quantise, now)
        elif action in ON_A_LINE:
            line = self.timeline.exact_line(press.at_sample, quantise)
            name, wants = action if action in REPLACE else "", _ON_A_LINE_WANTS[action]
            self._plan(
                press.slot, name, max(now, rounded(line)), lambda: self._on_line(slot, action, line), wants
            )
        elif action in ("overdub", "replace"):
            self._plan(press.slot, "", now, lambda: self._punch(slot, action), "written")
        else:
            self._at_once(press, slot, action, now)

    def _meaning(self, slot: LoopSlot) -> PressAction:
        """What the one button asks for."""
        if slot.queued in ("record", "play", "multiply"):
            return slot.queued  # type: ignore[return-value]
        match slot.state:
            case "empty":
                return "record"
            case "stopped":
                return "play"
            case "replacing":
                return "replace"
            case _:
                return "overdub"

    def _begin(self, press: Press, action: str, slot: LoopSlot, quantise: str, now: int) -> None:
        """Record from the line: from the one just gone by, if the press came a little late."""
        beat = self.timeline.at(press.at_sample).samples_per_beat
        if action == "capture":
            self._plan(press.slot, "", now, lambda: self._capture(press, slot), "free")
            return
        if action == "multiply" and not _multipliable(slot):
            self._note(*_NOT_MULTIPLIED)
            return
        early = press.at_sample if quantise == "off" else press.at_sample - math.floor(GRACE * beat)
        anchor = self.timeline.exact_line(early, quantise)

        def begin() -> None:
            if action == "multiply" and not _multipliable(slot):  # it was cleared or taken back meanwhile
                self._note(*_NOT_MULTIPLIED)
                return
            start = slot.multiply if action == "multiply" else slot.record
            start(anchor, self.input, self.latency)
            longest = self._unit(slot, quantise, rounded(anchor))
            if longest <= slot.room:
                longest *= slot.room // longest
                at = rounded(anchor + longest)
                self._plan(press.slot, "", at, lambda: self._closed(slot, anchor, longest))
            else:
                slot.undo()
                self._note(
                    "A bar is longer than a loop can be.",
                    "Nothing was recorded.",
                    "Play faster, or use quantise off.",
                )

        wants: Wants = "written" if action == "multiply" else "free"
        self._plan(press.slot, action, max(now, rounded(anchor)), begin, wants)

    def _close(self, press: Press, slot: LoopSlot, quantise: str, now: int, then_stop: bool) -> None:
        """The length snaps to the nearest whole number of bars; a multiplied loop's to whole loops."""
        anchor = slot.written_from
        asked = Fraction(max(press.at_sample, rounded(anchor))) - anchor
        if quantise == "off" and slot.state == "recording":  # longer than what comes in is behind what sounds
            length = max(Fraction(slot.shortest + self.latency), Fraction(rounded(asked)))
        else:
            unit = self._unit(slot, quantise, press.at_sample)
            length = unit * max(1, min(math.floor(asked / unit + HALF), slot.room // unit))

        def close() -> None:
            self._closed(slot, anchor, length)
            if then_stop:
                slot.stop()

        self._plan(press.slot, "close", max(now, rounded(anchor + length)), close)

    def _closed(self, slot: LoopSlot, anchor: Fraction, length: Fraction) -> None:
        """Give a recording its length, unless it has been given up meanwhile."""
        if slot.state in ("recording", "multiplying") and slot.written_from == anchor:
            slot.close(length)

    def _capture(self, press: Press, slot: LoopSlot) -> None:
        """The last bars the generator played become a loop, which starts once it is fetched from the past."""
        grid = self.timeline.at(press.at_sample)
        bar = grid.bar_beats * grid.samples_per_beat
        end = self.timeline.exact_line(press.at_sample - math.floor(GRACE * grid.samples_per_beat), "bar")
        if rounded(end) > press.at_sample:
            end -= bar
        length = bar * max(1, round(press.value))
        if rounded(end - length) < self.generated.oldest or length > slot.room:
            self._note(
                f"The generator has not played {max(1, round(press.value))} bars that are remembered.",
                "Nothing was captured; everything plays on.",
                "Capture fewer bars, or wait.",
            )
            return
        slot.record(end - length, self.generated)
        slot.close(length)
        slot.stop()
        ready = self._here + math.ceil(length) // (CATCH_UP - 1) + self._max_block
        line = self.timeline.exact_line(max(ready, press.at_sample), press.quantise or self.quantise)
        self._plan(press.slot, "play", rounded(line), lambda: slot.play(line), "written")

    def _on_line(self, slot: LoopSlot, action: str, line: Fraction) -> None:
        if action == "stop":
            if slot.state in ("overdubbing", "replacing"):
                slot.punch_out(rounded(line))
            slot.stop()
        elif action == "play":
            if slot.state in ("overdubbing", "replacing"):
                slot.punch_out(rounded(line))
            elif not slot.layer.empty and not slot.writing:
                slot.play(line)
        elif not slot.layer.empty and not slot.writing:
            slot.turn("reverse" if action == "reverse" else "half")

    def _punch(self, slot: LoopSlot, action: str) -> None:
        at = self._here
        if slot.state in ("overdubbing", "replacing"):
            slot.punch_out(at)
        elif slot.playing and not slot.layer.half and not slot.layer.empty and not slot.writing:
            slot.punch_in("replace" if action == "replace" else "overdub", at, self.input, self.latency)
        else:
            self._note(
                "A loop is overdubbed while it plays at full speed.",
                "It goes on as it was.",
                "Play it at full speed first.",
            )

    def _at_once(self, press: Press, slot: LoopSlot, action: str, now: int) -> None:
        if action == "mute":
            slot.muted = not slot.muted
        elif action == "solo":
            slot.soloed = not slot.soloed
        elif action == "gain":
            slot.gain = press.value
        else:
            changes: dict[str, Callable[[], object]] = {
                "undo": slot.undo,
                "redo": slot.redo,
                "clear": slot.clear,
            }
            self._plan(press.slot, "", now, changes[action])

    def _unit(self, slot: LoopSlot, quantise: str, at: int) -> Fraction:
        """What the length is a multiple of, in samples."""
        if slot.state == "multiplying":
            return slot.layer.length
        if quantise == "off":
            return Fraction(slot.room)
        grid = self.timeline.at(at)
        return grid.bar_beats * grid.samples_per_beat

    def _plan(self, slot: int, name: str, at: int, do: Callable[[], object], wants: Wants = "still") -> None:
        self._planned += 1
        self._due.append(_Due(at, self._planned, slot, name, do, wants))
        self._due.sort(key=lambda due: (due.at, due.number))
        if name:
            self.slots[slot].queued = name

    def _do_what_is_due(self, here: int) -> None:
        """Thread: audio. What a slot does not let happen yet is done as soon as it does, and what is due
        there after it, after it.
        """
        self._here = here
        waiting: list[int] = []
        while due := next((due for due in self._due if due.at <= here and due.slot not in waiting), None):
            if wait := self._wait(self.slots[due.slot], due.wants, here):
                self._not_before[due.slot] = here + wait
                waiting.append(due.slot)
                continue
            self._due.remove(due)
            if due.name:
                self.slots[due.slot].queued = ""
            self.changes += 1
            due.do()

    def _wait(self, slot: LoopSlot, wants: Wants, here: int) -> int:
        """Samples until a slot may be as something wants it; 0: it is."""
        if wants == "free" and slot.state in ("overdubbing", "replacing"):
            slot.punch_out(here)
        return slot.busy if wants == "still" else max(slot.busy, slot.unwritten(here, CATCH_UP))

    def _quiet(self, here: int) -> int:
        """Samples, one at least, in which nothing is to be done."""
        nexts = (max(due.at, self._not_before[due.slot]) - here for due in self._due)
        return max(1, min(nexts, default=self._max_block))

    def _reclaim(self) -> bool:
        """Memory is used up: the slot with the longest past that can spare it forgets its oldest version."""
        longest_first = sorted(self.slots, key=lambda slot: -slot.versions[0])
        return any(slot.forget_oldest() for slot in longest_first)

    def _note(self, what: str, still: str, do: str) -> None:
        self.notes.append((what, still, do))


def _multipliable(slot: LoopSlot) -> bool:
    return slot.playing and not slot.layer.half and not slot.layer.empty and not slot.writing


def pages_for(seconds: float, rate: int) -> int:
    """Pages that hold so much sound."""
    return max(1, math.ceil(seconds * rate / PAGE))
