"""Playing live: controllers, the host and the audio process joined into one performance.

One activity, the owner's, which turns every few milliseconds and never waits for anybody: it takes what
controllers say, tells the host and the looper, fetches what the host has made and puts it where the audio
process finds it, a little ahead. If it is late, what was made ahead covers it; if it dies, loops go on.
Positions are those of the audio process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from descant.host.beat_clock import PULSES, ClockIn, TapTempo
from descant.host.controller import GO_ON, TRANSPORT, Binding, Controller, Do, Profile, Shown, light
from descant.host.edge.audio_server import AudioServer
from descant.host.edge.controller_files import profile_for, read_profile, save_learnt
from descant.host.edge.hummer import Hummer
from descant.host.edge.loop_sound import cycle
from descant.host.edge.midi_clock import MidiClock
from descant.host.edge.midi_ports import MidiPorts
from descant.host.edge.midi_trace import MidiTrace
from descant.host.edge.recall import RecallingClient
from descant.host.edge.recording import Recording
from descant.host.edge.take_player import TakePlayer
from descant.host.edge.terminal_keys import KEYS
from descant.host.errors import HostError, LooperError, sentences
from descant.host.events import TransportEvent, Wave
from descant.host.knobs import LONG_REST_SECONDS, REST_SECONDS, Knobs, Wished
from descant.host.learn_keys import LearnKeys
from descant.host.lessons import Learnt, Lessons
from descant.host.loop_press import Press, PressAction
from descant.host.midi_words import Midi
from descant.host.transport import Timeline
from descant.host.trigger import ALL_NOTES_OFF, ALL_SOUND_OFF

AHEAD_SECONDS = 0.03  # of the generator's sound: what this loop may be late by
TURN_SECONDS = 0.003
BREATH_SECONDS = 0.0005
MOST = 256  # messages of controllers in one turn, so that sound is fed in between
SHORT_LEAD_MS = 250.0  # of the host's: it is hardly ahead of what can no longer change
SPARE = 64  # of the client's room, left to what is no controller's
GO_ON_SECONDS = 10.0  # of a loop's end that the host is handed: it hears no more
LOST_SECONDS = 2.0  # between words of messages that were left out
START_SECONDS = 1.0  # from a welcome that is awaited to the first sample that is asked for


def live_start(audio: AudioServer) -> int:
    """Where a client should be when it connects: a little later than it will be by then."""
    return max(0, round(audio.position_at(time.monotonic() + START_SECONDS)))


class Live:
    """Thread: the owner's, which made client and ports.

    client: connected. tempo: quarter notes a minute, until somebody taps another. say: takes a line for the
    performer. takes: of the same client; None: nothing is recorded.
    hum: of the same client and audio; None: there is no humming.
    """

    def __init__(
        self,
        client: RecallingClient,
        audio: AudioServer,
        ports: MidiPorts,
        profiles: list[Profile],
        tempo: float,
        say: Callable[[str], object],
        takes: Recording | None = None,
        hum: Hummer | None = None,
    ) -> None:
        self.client, self.audio, self.ports, self.takes = client, audio, ports, takes
        self.lessons = Lessons()
        self._learn_keys = LearnKeys(KEYS, self.lessons)
        self.learnt_folder: Path | None = None  # where it is kept; None: the user's
        self.clock_out: MidiClock | None = None
        self.trace: MidiTrace | None = None  # kept where somebody wants to know
        self.hum = hum
        self.player: TakePlayer | None = None  # of takes that are listened to
        self.last: dict[str, Midi] = {}  # what each port said last, its clock aside
        self.events = 0  # messages of controllers that were acted on
        self._profiles, self._say = profiles, say
        self._controllers: dict[str, Controller] = {}
        self._values: dict[str, float] = {}
        self._tap, self._clock, self._knobs = TapTempo(), ClockIn(), Knobs()
        self._ahead = round(AHEAD_SECONDS * audio.rate) + 2 * audio.block
        self._far = round(2 * START_SECONDS * audio.rate)
        self._fed: int | None = client.playhead or None
        self._lit: dict[tuple[str, Binding], Shown] = {}
        self._sessions = client.reconnects
        self._lost, self._lost_said = 0, -LOST_SECONDS
        self._slot = ""  # the prompt that was asked for last, as bindings name it
        self._slot_shown: Shown = "empty"
        self._start(tempo)

    def run(self, until: Callable[[], bool]) -> None:
        """Turn until told to end."""
        while not until():
            self.turn()
            self.ports.wait(TURN_SECONDS)  # a key is heard at once
            time.sleep(BREATH_SECONDS)  # in a flood, the other threads' turn

    def turn(self) -> None:
        """One look at everything."""
        self.audio.turn()
        came, went = self.ports.look()
        for name in came:
            self._controllers[name] = Controller(profile_for(name, self._profiles), self._values)
            self._say(f"{name} is connected ({self._controllers[name].profile.name})")
        for name in went:
            self._say(f"{name} is gone; its held notes end")
            self._do_all(self._controllers.pop(name).let_go(), self._now())
            self.last.pop(name, None)
        self._listen()
        self.client.pump(0)
        if self.client.reconnects != self._sessions and self.client.state == "live":
            self._resume()
        if self.hum is not None:
            self.hum.turn(self._now(), self._timeline)
        self._feed()
        if self.clock_out is not None and self.audio.fit.settled:
            seconds = time.monotonic()
            self.clock_out.tell(self.audio.position_at(seconds), seconds, self.audio.fit.rate, self._timeline)
        self._tell()  # the words of what is made go to the recorder before its sound does
        if self.takes is not None:
            self.takes.turn()

    @property
    def timeline(self) -> Timeline:
        """The song as it is followed now."""
        return self._timeline

    @property
    def profiles(self) -> dict[str, Profile]:
        """What each controller that is there is bound to."""
        return {name: controller.profile for name, controller in self._controllers.items()}

    @property
    def values(self) -> dict[str, float]:
        """The parameters that somebody has moved."""
        return self._values

    def do(self, wish: Do) -> None:
        """What somebody without a controller wants, now."""
        seconds = time.monotonic()
        if wish.what.startswith("parameter "):
            self._values[wish.what.removeprefix("parameter ")] = wish.value
        self._do_all([wish], max(0, round(self.audio.position_at(seconds))), seconds)

    def key(self, key: str) -> None:
        """A key of the terminal: something to do, or what the next pad or knob is to be bound to."""
        if not self._learn_keys.takes(key):
            if key in KEYS:
                self.do(Do(KEYS[key]))
            return
        words, learnt = self._learn_keys.key(key, self.profiles)
        if words:
            self._say(words)
        if learnt is not None:
            self.keep(learnt)

    def keep(self, learnt: Learnt) -> None:
        """A controller plays by another profile from now on, and the next time."""
        if (controller := self._controllers.get(learnt.port)) is not None:
            for gone in set(controller.profile.bindings) - set(learnt.profile.bindings):
                self._lit.pop((learnt.port, gone), None)
                if (midi := light(controller.profile, gone, "empty")) is not None:
                    self.ports.send(learnt.port, midi)
            controller.rebind(learnt.profile)
        try:
            path = save_learnt(learnt.port, learnt.profile, self.learnt_folder)
        except HostError as error:
            self._say(f"{error.what}. {error.still}. {error.do}.")
            return
        self._profiles.insert(0, read_profile(path))  # when it is plugged in again

    def set_tempo(self, tempo: float) -> None:
        """Quarter notes a minute, from now on."""
        at = self._now()
        self._follow(tempo, self._timeline.beat_at(at), at)

    def _start(self, tempo: float) -> None:
        self._timeline = Timeline.internal(self.audio.rate, tempo)
        self._follow(tempo, Fraction(0), self._now())

    def _now(self) -> int:
        """The sample that is asked for now."""
        return max(0, round(self.audio.position_at(time.monotonic())))

    def _follow(self, tempo: float, beat: Fraction, at: int) -> None:
        """From a sample on the song is at a beat, at a tempo: for the host and for the loops' lines."""
        event = TransportEvent(at, tempo, float(beat))
        self._timeline, _ = self._timeline.followed(event)
        self._timeline = self._timeline.pruned(at - 60 * self.audio.rate)
        self.client.transport(tempo, float(beat), at_sample=at)
        self.audio.follow(self._timeline)
        if self.takes is not None:
            self.takes.recorder.follows(tempo)

    def _listen(self) -> None:
        """What controllers say, no more than the host takes now: the rest waits, and what cannot is told."""
        came = self.ports.take(min(MOST, max(0, self.client.room - SPARE) // 2))
        wishes: list[Wished] = []
        for seconds, name, midi in came:
            if name in self._controllers:
                wishes += self._heard(name, midi, seconds)
        now = time.monotonic()
        for wish, at, seconds in self._knobs.passed(wishes, now):
            self._do_all([wish], at, seconds)
        if self.trace is not None and came:
            self.trace.told(came, self.audio.position_at)
        if (lost := self.ports.lost) != self._lost and now - self._lost_said > LOST_SECONDS:
            self._say(
                f"{lost - self._lost} messages of controllers came faster than they can be played, and were "
                "left out. Every note that ended has ended; the music goes on. Let it send less."
            )
            self._lost, self._lost_said = lost, now

    def _heard(self, name: str, midi: Midi, seconds: float) -> list[Wished]:
        """What a message asks for, and when; a clock is followed at once."""
        at = max(0, round(self.audio.position_at(seconds)))
        if self._clock.take(midi, seconds):
            tempo = self._clock.tempo
            if midi.kind == "clock" and self._clock.playing and tempo and self._clock.pulses % PULSES == 0:
                self._follow(tempo, self._clock.beat, at)
            if midi.kind not in TRANSPORT:
                return []
        self.last[name] = midi
        if self.lessons.takes(name, midi):
            if (learnt := self.lessons.hear(name, self._controllers[name].profile, midi)) is not None:
                self._say(learnt.words)
                self.keep(learnt)
            return []
        return [(wish, at, seconds) for wish in self._controllers[name].take(midi)]

    def _do_all(self, wishes: list[Do | Midi], at: int, seconds: float = 0.0) -> None:
        for wish in wishes:
            self.events += 1
            try:
                if isinstance(wish, Midi):
                    self._pass_on(wish, at)
                else:
                    self._do(wish, at, seconds)
            except HostError as error:
                self._say(f"{error.what}. {error.still}. {error.do}.")

    def _pass_on(self, midi: Midi, at: int) -> None:
        """What no profile takes means what the preset says."""
        client, key, value, channel = self.client, midi.number, midi.value, midi.channel
        if midi.kind == "note_on":
            client.note_on(key, value, channel, at)
        elif midi.kind == "note_off":
            client.note_off(key, value, channel, at)
        elif midi.kind == "control":
            client.control(key, value, channel, at)
        elif midi.kind == "program":
            client.program(key, channel, at)

    def _do(self, wish: Do, at: int, seconds: float) -> None:
        kind, _, rest = wish.what.partition(" ")
        if kind == "slot":
            if wish.down:
                self._slot, self._slot_shown = wish.what, "queued"
                self.client.trigger(int(rest) - 1, round(127 * wish.value), at_sample=at)
            else:
                self.client.control(ALL_SOUND_OFF, 0, at_sample=at)
        elif kind == "loop":
            number, action = rest.split(" ", 1)
            if action == GO_ON:
                if wish.down:
                    self._go_on_from(int(number) - 1, at)
                return
            meant: PressAction = action if wish.down else "stop"  # type: ignore[assignment]
            self.audio.press(Press(at, int(number) - 1, meant))
        elif kind == "parameter":
            self.client.parameter(rest, wish.value, at_sample=at)
        elif kind == "hum" and self.hum is not None and wish.down:
            self.hum.do(rest, at, self._timeline)
        elif kind == "panic":
            self._panic(at)
        elif kind == "tap" and (tempo := self._tap.tap(seconds)) is not None:
            self._follow(tempo, self._timeline.beat_at(at), at)
            self._say(f"{tempo:.1f} beats a minute")

    def _go_on_from(self, slot: int, at: int) -> None:
        """What a loop plays is the beginning of what the generator plays from the next bar on."""
        wave = cycle(self.audio.memory, slot)[:, -round(GO_ON_SECONDS * self.audio.rate) :]
        if not self.client.capture(wave, self.audio.rate, "live", at):
            raise LooperError(
                "No host takes the loop now", "it plays on", "press again when the host is back"
            )
        self._say(f"loop {slot + 1}: the music goes on from it at the next bar")

    def _panic(self, at: int) -> None:
        """Nothing sounds and nothing is held any more, here and in the host, whoever held it."""
        for controller in self._controllers.values():
            self._do_all(controller.let_go(), at)
        for controller_number in (ALL_NOTES_OFF, ALL_SOUND_OFF):
            self.client.control(controller_number, 0, at_sample=at)
        self.audio.press(Press(at, 0, "stop all", "off"))
        if self.hum is not None:
            self.hum.silence()
        if self.player is not None:
            self.player.stop()
        self._slot_shown = "empty"

    def _resume(self) -> None:
        """Another host knows nothing of what was: it is told all of it, and the music begins again."""
        self._sessions = self.client.reconnects
        at = self._now()
        self._follow(float(self._timeline.at(at).tempo), self._timeline.beat_at(at), at)
        recall = self.client.recall
        if recall is None:
            self._say("The host is back. It knows the tempo. Start again what shall play.")
            return
        told = recall.told(at)
        for message in told:
            self.client.tell(message)
        playing = "what played begins again on its line" if recall.playing is not None else "nothing plays"
        self._say(
            "Another host is there: what the one before was making is lost. Tempo, preset, seed, words, "
            f"numbers and melody are as they were; {playing}. Nothing: play on."
        )

    def _feed(self) -> None:
        """Put what the host has made where the audio process will want it next."""
        audio, block = self.audio, self.audio.block
        if not audio.fit.updates:
            return
        now = self._now()
        if self._fed is None or abs(self._fed - now) > self._far:
            self._fed = now + self._ahead  # time was corrected, or stood still
            self.client.seek(self._fed)
        elif self._fed < now:  # we were late, which is mostly no leap: what is played stays known
            self.client.skip(now + self._ahead - self._fed)
            self._fed = now + self._ahead
        while self._fed < now + self._ahead + block:
            made = self.client.read(block)
            audio.memory.play(self._fed, made)
            if self.hum is not None:
                self.hum.made(self._fed, made)
            if (aside := self._aside(self._fed, block)) is not None:
                audio.memory.play_aside(self._fed, aside)
            self._fed += block

    def _aside(self, at: int, n: int) -> Wave | None:
        """What is heard beside the music [C, n] from a sample on; None: nothing."""
        out = self.player.read(n) if self.player is not None else None
        hummed = self.hum.aside(at, n, self._timeline) if self.hum is not None else None
        if hummed is None:
            return out
        wide: Wave = np.tile(hummed, (self.audio.channels, 1))
        return wide if out is None else out + wide

    def _tell(self) -> None:
        client = self.client
        while client.plans:
            plan = client.plans.popleft()
            self._slot_shown = "playing" if plan.text else "empty"
            self._say(f"bar {plan.bar:g}: {plan.text or 'silence'}")
            if self.hum is not None:
                self.hum.planned(plan.from_sample, plan.text)
            if self.takes is not None:
                self.takes.recorder.planned(plan.from_sample, plan.text)
        while client.faults:
            fault = client.faults.popleft()
            if fault.severity == "error":
                self._slot_shown = "error"
            self._say(sentences(fault.what, fault.still, fault.do))
        if client.meters:
            meter = client.meters[-1]
            short = meter.real_time_factor > 0 and meter.lead_ms < SHORT_LEAD_MS
            self._knobs.rest = LONG_REST_SECONDS if short else REST_SECONDS
        client.meters.clear()
        while self.audio.said:
            self._say(" ".join(self.audio.said.popleft()))
        while self.takes is not None and self.takes.recorder.said:
            self._say(" ".join(self.takes.recorder.said.popleft()))
        for name, controller in self._controllers.items():
            for binding in controller.profile.bindings:
                shown = self._shown(binding)
                if self._lit.get((name, binding)) != shown:
                    self._lit[name, binding] = shown
                    if (midi := light(controller.profile, binding, shown)) is not None:
                        self.ports.send(name, midi)

    def _shown(self, binding: Binding) -> Shown:
        """What a pad's light shows: of a prompt whether it waits or plays, of a loop what its slot does."""
        if binding.do.startswith("slot "):
            return self._slot_shown if binding.do == self._slot else "empty"
        if binding.do.startswith("loop "):
            index = int(binding.do.split(" ")[1]) - 1
            if index < len(self.audio.status):
                slot = self.audio.status[index]
                if slot.queued:
                    return "queued"
                if slot.state not in ("empty", "stopped"):
                    return "playing" if slot.state == "playing" else "generating"
        return "empty"
