"""What a host that was started anew must be told so that a session is as it was: numbers, words, what plays.

Reads what its client sends. Where the song is, the one who follows it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from descant.host import translate
from descant.host.errors import HostError
from descant.host.events import Bend, Control, KeyPrompt, Mix, NoteOff, NoteOn, Parameter, Program, Trigger
from descant.host.pads import Pads
from descant.host.preset import Preset
from descant.host.schedule import SAMPLED
from descant.host.trigger import ALL_SOUND_OFF, OF_KEY, ChordNote, SetParameter, Silence, StartSlot, action_of
from descant.plugin_bridge import BridgeClient, wire

_PADS = 6  # that can be weighed


class Recall:
    """presets: by name. preset: the one that the hello names.

    playing: the slot that was started last (OF_KEY + key of a key with words of its own), None after a stop.
    parameters: those that were moved since the preset came. held: keys of a held chord. melody: the parts of
    the last whole clip.
    """

    def __init__(self, presets: Mapping[str, Preset], preset: Preset) -> None:
        self.pads = Pads(preset)
        self.parameters: dict[str, float] = {}
        self.playing: int | None = None
        self.held: dict[int, None] = {}
        self.melody: list[wire.Capture] = []
        self._clip: list[wire.Capture] = []
        self._presets, self._first, self._weights = presets, preset.name, False

    def note(self, message: wire.Message) -> None:
        """Take in what is sent. What no session can follow is no part of one."""
        with suppress(HostError):
            match message:
                case wire.Preset():
                    self._changed(message.name)
                case wire.Prompt():
                    self.pads.reword(translate.to_event(message))  # type: ignore[arg-type]
                    self.playing = message.slot
                case wire.Capture():
                    self._captured(message)
                case wire.KeyPrompt() | wire.Mix():
                    self._noted(translate.to_event(message))
                case (
                    wire.Trigger() | wire.NoteOn() | wire.NoteOff() | wire.Control() | wire.Program()
                    | wire.Parameter() | wire.Bend()
                ):  # fmt: skip
                    self._noted(translate.to_event(message))

    def told(self, at_sample: int) -> list[wire.Message]:
        """All of it, in an order in which it comes to the same; nothing sounds in between."""
        pads, preset = self.pads, self.pads.preset
        said: list[wire.Message] = []
        if preset.name != self._first:
            said.append(wire.Preset(name=preset.name, at_sample=at_sample))
        said += [
            wire.Parameter(name=name, value=value, at_sample=at_sample)
            for name, value in self.parameters.items()
        ]
        said += [wire.KeyPrompt(key=key, text=text, at_sample=at_sample) for key, text in pads.keys.items()]
        if self._weights:
            weights = [pads.chosen.get(f"weight of {number}", 0.0) for number in range(_PADS)]
            said.append(wire.Mix(*weights, at_sample=at_sample))
        starting: list[wire.Message] = [*self.melody]  # these begin to play where nothing does
        starting += [
            wire.Prompt(slot=slot, text=text, at_sample=at_sample)
            for slot, (text, row) in enumerate(zip(pads.texts, preset.prompts))
            if text != row.text
        ]
        if starting:
            said += [*starting, wire.Control(0, ALL_SOUND_OFF, 0, at_sample=at_sample)]
        said += [wire.NoteOn(midi_channel=0, key=key, velocity=100, at_sample=at_sample) for key in self.held]
        if self.playing is not None and self.playing >= OF_KEY:
            said.append(wire.NoteOn(0, self.playing - OF_KEY, 127, at_sample=at_sample))
        elif self.playing is not None:
            said.append(wire.Trigger(self.playing, 127, at_sample=at_sample))
        return said

    def _changed(self, name: str) -> None:
        if name in self._presets:
            self.pads.change(self._presets[name])
            self.parameters = {key: value for key, value in self.parameters.items() if key not in SAMPLED}

    def _captured(self, part: wire.Capture) -> None:
        if part.role != "melody":
            return  # it was gone on from; what came of it is lost with the host
        if part.index == 0:
            self._clip = []
        if part.index == len(self._clip):
            self._clip.append(part)
            if part.last:
                self.melody, self._clip = self._clip, []

    def _noted(self, event: object) -> None:
        match event:
            case KeyPrompt():
                self.pads.word_key(event)
                return
            case Mix():
                self.pads.weigh(event)
                self._weights = True
                return
        assert isinstance(event, Trigger | NoteOn | NoteOff | Control | Program | Parameter | Bend)
        match action_of(event, self.pads.preset, self.pads.keys):
            case StartSlot(slot):
                self.playing = None if self.pads.row(slot).stop else slot
            case SetParameter(name, value):
                self.parameters[name] = value
            case ChordNote(key, True):
                self.held[key] = None
            case ChordNote(key, False):
                self.held.pop(key, None)
            case Silence(let_go):
                self.playing = None
                if let_go:
                    self.held.clear()


class RecallingClient(BridgeClient):
    """A BridgeClient that knows what its session is. recall: see there; None knows nothing."""

    def __init__(self, *arguments: Any, recall: Recall | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.recall = recall

    def _send(self, message: wire.Message) -> bool:
        if self.recall is not None and self.welcome is not None:  # before the first one nothing is queued
            self.recall.note(message)
        return super()._send(message)
