"""The stage: a live performance that no window owns. Host, audio, controllers, loops, takes; how they stand.

One activity, the owner's, which never waits: hosts are started by their keeper, devices by the audio process.
What windows want is done here and what they show is read here; they may come, hang and go.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from descant.host.controller import Do, Profile
from descant.host.edge import stage_plan
from descant.host.edge import stage_words as words
from descant.host.edge.audio_device import list_devices
from descant.host.edge.audio_server import AudioServer
from descant.host.edge.controller_files import load_profiles
from descant.host.edge.host_keeper import HostKeeper
from descant.host.edge.hummer import Hummer
from descant.host.edge.key_played import classes_played
from descant.host.edge.keys import bridge_curve
from descant.host.edge.live import Live, live_start
from descant.host.edge.loop_outlines import LoopOutlines
from descant.host.edge.midi_ports import MidiPorts
from descant.host.edge.midi_view import controls_of, lesson_of, said
from descant.host.edge.preset_files import load_presets
from descant.host.edge.recall import Recall
from descant.host.edge.recording import Recording
from descant.host.edge.round_trips import measured
from descant.host.edge.stage_client import StageClient
from descant.host.edge.stage_learning import check, learn, let_go
from descant.host.edge.stage_notices import StageNotices
from descant.host.edge.take_player import TakePlayer
from descant.host.errors import HostError, PresetError
from descant.host.plane import ring, shares
from descant.host.preset import PARAMETERS, Preset, find_preset
from descant.plugin_bridge import WireError

TURN_SECONDS = 0.003
CHANNELS = 2
LATE_SECONDS = 2.0  # how long a gap is shown
BEGIN_SECONDS = 6.0  # in which the pad that the plane began with has found its line


@dataclass(frozen=True)
class StageOrder:
    """How to play; see `descant desktop`. endpoint: of a host that runs already, "" for one of our own.
    takes: the folder they are kept in, "" where nothing is recorded.
    """

    preset: str = ""
    seed: int = 0
    rate: int = 48000
    block: int = 256
    endpoint: str = ""
    model: str = "embedded"
    threads: int = 0
    presets: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    midi: tuple[str, ...] = ()
    controllers: tuple[str, ...] = ()
    takes: str = ""


class Stage:
    """Thread: the owner's. Raises HostError when the presets, or a folder, cannot be used at all."""

    def __init__(self, order: StageOrder) -> None:
        self.order = order
        self.ended = False
        self.notices = StageNotices()
        self.presets = load_presets(order.presets, wanted=order.preset, on_broken=self.notices.error)
        self.preset: Preset = find_preset(self.presets, order.preset)
        self._texts = [row.text for row in self.preset.prompts]
        profiles, broken = load_profiles(order.controllers)
        for error in broken:
            self.notices.error(error)
        self._profiles = profiles
        self._written, _ = load_profiles(order.controllers, learnt=False)
        self._bound: dict[str, Profile] = {}  # what each controller is bound to, as windows know it
        self.audio = AudioServer(
            order.rate, CHANNELS, devices=order.devices, block=order.block, round_trip=measured
        )
        self.keeper = None if order.endpoint else HostKeeper(order.model, order.threads, order.presets)
        endpoint = order.endpoint or (self.keeper.endpoint if self.keeper else "")
        self.client = StageClient(
            endpoint, order.rate, order.block, CHANNELS, name="descant desktop",
            preset=self.preset.name, seed=order.seed,
            recall=Recall(self.presets, self.preset), curve=bridge_curve(order.endpoint),
        )  # fmt: skip
        self.ports = MidiPorts(order.midi)
        self.live: Live | None = None
        self.takes: Recording | None = None
        self.hum: Hummer | None = None
        self.player = TakePlayer(order.rate, CHANNELS)
        self.outlines = LoopOutlines(self.audio.memory)
        self.plane = words.Plane(ring(self._weighable), 0.5, 0.5, on=False)
        self._begun = -BEGIN_SECONDS  # when the plane started the music
        self._off_at: int | None = None  # the sample at which a pad takes the plane's place
        self._furniture: words.Furniture | None = None
        self._version = 0
        self._devices = tuple(
            words.Device(row.name, row.interface, row.inputs, row.outputs, row.sample_rate)
            for row in list_devices()
        )
        self._greeted = 0.0
        self._loading_error: HostError | None = None
        self._gaps, self._gap_at = 0, -LATE_SECONDS
        self._looked = 0.0  # when a window last did
        self._silenced = 0  # the sample at which everything was stopped

    def turn(self) -> None:
        """One look at everything."""
        if self.live is None:
            self._wait_for_host()
        else:
            let_go(self.live, time.monotonic() - self._looked)
            self.live.turn()
            self._turn_plane(self.live)
            if self._bound != self.live.profiles:
                self._bound, self._furniture = self.live.profiles, None
            gaps = self.audio.memory.underruns + self.client.underruns
            if gaps != self._gaps:
                self._gaps, self._gap_at = gaps, time.monotonic()
        while self.client.seen_faults:
            fault = self.client.seen_faults.popleft()
            self.notices.tell(fault.severity, fault.what, fault.still, fault.do)
        while self.player.said:
            self.notices.error(self.player.said.popleft())
        error = self.keeper.error if self.keeper else None
        if error is not None and error is not self._loading_error:
            self.notices.tell("error", error.what, error.still, error.do)
        self._loading_error = error
        self.outlines.turn()

    def close(self) -> None:
        """Everything ends, sound too."""
        if self.hum is not None:
            self.hum.close()
        self.player.close()
        if self.takes is not None:
            self.takes.close()
        self.client.close()
        self.ports.close()
        if self.keeper is not None:
            self.keeper.close()
        self.audio.close()

    @property
    def sounding(self) -> bool:
        """Whether somebody would miss it."""
        playing = self._now_playing()
        loops = any(slot.state not in ("empty", "stopped") for slot in self.audio.status)
        return loops or (playing is not None and bool(playing.text)) or self.client.tone

    def obey(self, asked: words.Asked) -> None:
        """Do what a window wants; what cannot be is told in the next view."""
        try:
            self._obey(asked)
        except (HostError, WireError) as error:
            self.notices.error(error)

    def view(self, look: words.Look) -> words.View:
        """How things stand, and what is newer than the window knows."""
        self._looked = time.monotonic()
        audio, client, meter = self.audio, self.client, self.client.seen_meter
        memory = audio.memory
        now = max(0, round(audio.position_at(time.monotonic())))
        beat, bar, tempo, bar_beats = self._song(now)
        phase, why = self._phase(now)
        playing, waiting = self._now_playing(), self._waiting(now)
        furniture = self.furniture()
        return words.View(
            phase=phase,
            why=why[:200],
            position=now,
            tempo=tempo,
            beat=beat,
            bar=bar,
            beats_a_bar=bar_beats,
            commit_ms=self.preset.commit_ms,
            slot=-1 if playing is None else playing.slot,
            queued=-1 if waiting is None else waiting.slot,
            plane=self.plane,
            shares=shares(self.plane.points, (self.plane.x, self.plane.y)) if self.plane.on else (),
            plan=self._coming(now),
            meters=words.Meters(
                lead_ms=meter.lead_ms if meter else 0.0,
                real_time_factor=meter.real_time_factor if meter else 0.0,
                load=meter.load if meter else 0.0,
                eased=meter.eased if meter else 0,
                control_delay_ms=meter.control_delay_ms_p50 if meter else 0.0,
                underruns=memory.underruns + client.underruns,
                xruns=memory.xruns,
                restarts=audio.restarts,
                inputs=_levels(memory.levels[0]),
                outputs=_levels(memory.levels[1]),
            ),
            loops=audio.status,
            loops_version=self.outlines.version,
            outlines=self.outlines.newer_than(look.loops),
            notices=tuple(self.notices.rows),
            device=audio.device,
            device_why=audio.why,
            device_rate=audio.device_rate,
            hum=self.hum.view(now, self.live.timeline) if self.hum and self.live else None,
            tone=client.tone,
            listened=self.player.path,
            listened_seconds=self.player.seconds,
            takes=(len(self.takes.recorder.takes) if self.takes else 0) + (self.hum.kept if self.hum else 0),
            ports=self.ports.names,
            said={name: said(self.live.last[name]) for name in self.ports.names if name in self.live.last}
            if self.live
            else {},
            midi_why=self.ports.why,
            lesson=lesson_of(self.live.lessons) if self.live else words.Lesson(),
            values=dict(self.live.values) if self.live else {},
            furniture=None if look.furniture == furniture.version else furniture,
        )

    def furniture(self) -> words.Furniture:
        """What changes seldom."""
        if self._furniture is not None:
            return self._furniture
        sampling = self.preset.sampling
        self._version += 1
        welcome = self.client.welcome
        self._furniture = words.Furniture(
            version=self._version,
            preset=self.preset.name,
            pads=tuple(
                words.Pad(text, row.stop, -1 if row.key is None else row.key)
                for row, text in zip(self.preset.prompts, self._texts)
            ),
            presets=tuple(
                words.PresetRow(
                    row.name, row.description, row.tempo, tuple(p.text for p in row.prompts if p.text)
                )
                for row in self.presets.values()
            ),
            devices=self._devices,
            parameters={
                name: (low, high, float(getattr(sampling, name, 1.0 if high == 1.0 else 0.0)))
                for name, (low, high, _) in PARAMETERS.items()
            },
            rate=self.audio.rate,
            block=self.audio.block,
            model=welcome.model if welcome else "",
            controllers=controls_of(self._bound, self._written),
            takes=self.order.takes,
        )
        return self._furniture

    # inside

    def _obey(self, asked: words.Asked) -> None:
        match asked:
            case words.Ports():
                if asked.tone is not None:
                    self.client.tone = asked.tone
                if asked.device is not None:
                    self.audio.use((asked.device,) if asked.device else ())
                return
            case words.Quit():
                self.ended = True
                return
        live = self.live
        if live is None:
            self.notices.tell(
                "info",
                "The host is not ready yet: that was not kept.",
                "Loading goes on.",
                "Press again when the state says ready.",
            )
            return
        match asked:
            case words.Act():
                self._act(live, asked)
            case words.Plane():
                live.values.update(x=asked.x, y=asked.y)
                self._move(asked)
            case words.Choose():
                self.preset = find_preset(self.presets, asked.preset)
                self._texts = [row.text for row in self.preset.prompts]
                self._furniture = None
                self._move(words.Plane(ring(self._weighable), 0.5, 0.5, on=False))
                self.client.preset(self.preset.name)
                live.set_tempo(self.preset.tempo)
            case words.Words():
                if asked.slot < len(self._texts) and not self.preset.prompts[asked.slot].stop:
                    self._texts[asked.slot] = asked.text.strip()
                    self._furniture = None
                self.client.prompt(asked.text, asked.slot)
            case words.Tempo():
                live.set_tempo(asked.tempo)
            case words.Learn():
                learn(live, asked)
            case words.Listen(""):
                self.player.stop()
            case words.Listen():
                self.player.start(asked.file)

    @property
    def _weighable(self) -> int:
        """How many of the first pads can be mixed; a stop among them is passed over."""
        return min(words.PLANE, len(self._texts))

    def _move(self, plane: words.Plane) -> None:
        """Another point, or other places, on the plane."""
        was, self.plane, self._off_at = self.plane, plane, None
        if plane.on:
            heard = shares(plane.points, (plane.x, plane.y))
            self.client.mix(heard)
            self._begin(heard)
        elif was.on:
            self.client.mix(())

    def _begin(self, heard: tuple[float, ...]) -> None:
        """Where there is silence, the plane starts the music by its nearest pad."""
        now = time.monotonic()
        playing = self._now_playing()
        waiting = self._waiting(max(0, round(self.audio.position_at(now))))
        if self.live is None or not heard or (playing and playing.text) or waiting:
            return
        if now - self._begun > BEGIN_SECONDS:
            self._begun = now
            self.live.do(Do(f"slot {heard.index(max(heard)) + 1}"))

    def _turn_plane(self, live: Live) -> None:
        """Controllers move the point by the parameters x and y; a pad that starts takes the plane's place."""
        plane = self.plane
        if not plane.on:
            return
        x, y = live.values.get("x", plane.x), live.values.get("y", plane.y)
        if (x, y) != (plane.x, plane.y):
            self._move(words.Plane(plane.points, min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)))
        now = max(0, round(self.audio.position_at(time.monotonic())))
        waiting = self._waiting(now)
        ours = time.monotonic() - self._begun < BEGIN_SECONDS
        if waiting is not None and waiting.slot >= 0 and self._off_at != waiting.at_sample and not ours:
            self._off_at = waiting.at_sample
            self.client.mix((), at_sample=waiting.at_sample)
        elif self._off_at is not None and now >= self._off_at:
            self.plane, self._off_at = msgspec.structs.replace(plane, on=False), None

    def _act(self, live: Live, act: words.Act) -> None:
        check(act.what)
        if act.what.startswith("slot ") and not 1 <= int(act.what.split()[1]) <= len(self._texts):
            raise PresetError(
                f"{self.preset.name} has no pad {act.what.split()[1]}.",
                "The music goes on as it was.",
                f"Use pads 1 to {len(self._texts)}.",
            )
        if act.what == "panic":
            self._silenced = max(0, round(self.audio.position_at(time.monotonic())))
            self.client.tone = False
        live.do(Do(act.what, act.down, act.value))

    def _wait_for_host(self) -> None:
        """Until there is a host and time has begun: then the performance begins."""
        self.audio.turn()
        while self.audio.said:
            self.notices.tell("warning", *self.audio.said.popleft())
        client, now = self.client, time.monotonic()
        reachable = self.keeper is None or self.keeper.ready
        if not self.audio.fit.updates:
            return
        if client.playhead < self.audio.position_at(now):  # a leap once it is live would be no part of a take
            client.seek(live_start(self.audio))
        if client.state == "closed" and reachable:
            client.hello()
            self._greeted = now
        client.pump(0)
        if client.state != "live":
            return
        self._furniture = None
        order, preset = self.order, self.preset
        takes = Path(order.takes) if order.takes else None
        if takes is not None:
            model = "" if order.endpoint else order.model
            self.takes = Recording.into(
                takes, client, preset, order.seed, model, order.threads, self.presets.values()
            )
        self.hum = Hummer(client, self.audio, self._say, lambda: classes_played(client.recall), takes=takes)
        self.live = Live(
            client, self.audio, self.ports, self._profiles, preset.tempo, self._say, self.takes, self.hum
        )
        self.live.player = self.player
        if order.controllers:
            self.live.learnt_folder = Path(order.controllers[0])

    def _say(self, line: str) -> None:
        """What the live path tells: faults come with three lines on another way, the plan is shown."""
        if re.match(r"bar [0-9.e+-]+: ", line) or (self.live is not None and line == self.live.lessons.said):
            return  # what was learnt is shown beside the bindings
        self.notices.line(line)

    def _song(self, now: int) -> tuple[float, int, float, int]:
        """(beat, bar, tempo, beats a bar) at a sample."""
        if self.live is None:
            return 0.0, 0, self.preset.tempo, self.preset.numerator
        grid = self.live.timeline.at(now)
        beat = grid.beat_at(now)
        return float(beat), int(grid.bar_at(now) // 1), float(grid.tempo), grid.numerator

    def _coming(self, now: int) -> tuple[words.Coming, ...]:
        return stage_plan.coming(self.client.plan, self._texts, now)

    def _now_playing(self) -> words.Coming | None:
        now = max(0, round(self.audio.position_at(time.monotonic())))
        return stage_plan.playing(self._coming(now), now, self._silenced)

    def _waiting(self, now: int) -> words.Coming | None:
        return stage_plan.waiting(self._coming(now), now)

    def _phase(self, now: int) -> tuple[words.Phase, str]:
        if self.live is None:
            if self.keeper is not None and self.keeper.error is not None:
                return "lost", self.keeper.error.what
            if not self.audio.fit.updates:
                return "starting", "audio"
            return "loading", "the model" if self.client.state == "closed" else "the session"
        if self.client.state != "live":
            return "lost", "the host does not answer; it is started again"
        playing, meter = self._now_playing(), self.client.seen_meter
        sounds = playing is not None and bool(playing.text)
        if sounds and meter is not None and meter.eased >= 4:  # the last meter of a song may say so for ever
            return "late", "the last bar is held"
        if time.monotonic() - self._gap_at < LATE_SECONDS:
            return "late", "a gap was heard"
        if playing is not None and sounds:
            return "generating", playing.text
        return "ready", ""


def _levels(rows: object) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(a), float(b), float(c)) for a, b, c in rows)  # type: ignore[attr-defined]
