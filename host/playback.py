"""All streams of one session mixed into addressed blocks: what has been sent, what must be sent again, what
comes next.

Knows nothing about events or musical time: it follows a schedule and a pacing. Positions are the client's
samples.
"""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor

from descant.host.events import AudioOut, Wave
from descant.host.pacing import Pacing
from descant.host.resample import Resampler
from descant.host.schedule import Cue, Schedule
from descant.host.voice import Voice
from descant.model import Generator, MusicModel
from descant.model.work import Work

MAX_BLOCK = 8192  # samples in one block


class Playback:
    """Makes a session's audio, at most one model frame a call.

    sent: the first sample not sent yet. epoch: counts the times that sent audio was replaced.
    """

    def __init__(self, model: MusicModel, rate: int, channels: int, seed: int) -> None:
        self.sent = 0
        self.epoch = 0
        self.frames_made = 0
        self.samples_sent = 0
        self._model = model
        self._channels = channels
        self._seed = seed
        self._resampler = Resampler(model.spec.sample_rate, rate)
        self._voices: dict[int, Voice] = {}
        self._cues: tuple[Cue, ...] = ()
        self._version = -1
        self._deaf: set[int] = set()  # starts of streams of which that has been said
        self.guided = True  # whether new streams will be guided; those that are not cost half
        self.going_on: Generator | None = None  # a stream of a lost engine, for the next voice to carry on
        self.begin_with: Tensor | None = None  # codes [K, F] of music that the first stream goes on from

    def oldest_changeable(self) -> int:
        """The first sample that every stream can still go back to."""
        due = (self._voices.get(cue.at_sample) for cue in self._due(self.sent))
        return max((voice.oldest_changeable for voice in due if voice is not None), default=0)

    def first_change(self, at_sample: int) -> int:
        """The first sample that a change of the scene at `at_sample` can change, when it does."""
        for voice in self._voices.values():
            if voice.start <= at_sample and (voice.end is None or at_sample < voice.end):
                return voice.touched(voice.frame_of(at_sample))
        return at_sample

    def needed_from(self, playhead: int) -> int:
        """The first sample whose scene may still be asked for."""
        if self.sounding:
            return min(playhead, self.sent)
        cue = self._next_start(self.sent)
        return playhead if cue is None else min(playhead, cue.at_sample)

    def outdated(self, schedule: Schedule) -> bool:
        """Whether the schedule has changed since the streams were brought in line with it."""
        return schedule.version != self._version

    def wanted(self, schedule: Schedule, pacing: Pacing) -> bool:
        """Whether make() would do something."""
        if self.outdated(schedule):
            return True
        if self.sent >= pacing.limit:
            return False
        cue = self._next_start(self.sent)
        return bool(self._due(self.sent)) or (cue is not None and cue.at_sample < pacing.limit)

    def follows(self, schedule: Schedule) -> bool:
        """Whether what was sent is what the schedule says."""
        return schedule.version == self._version

    @property
    def sounding(self) -> bool:
        """Whether music is due at the first sample not sent yet."""
        return bool(self._due(self.sent))

    def make(self, schedule: Schedule, pacing: Pacing) -> Work[list[AudioOut]]:
        """One slice of work: go back where the schedule changed, make at most one frame, send what that
        allows.
        """
        self._reconcile(schedule)
        limit = pacing.limit
        if self.sent < limit and not self._due(self.sent):
            cue = self._next_start(self.sent)
            if cue is None or cue.at_sample >= limit:
                self.sent = max(self.sent, min(pacing.playhead, limit))
                return []
            self.sent = cue.at_sample
        if self.sent >= limit:
            return []
        slowest = min((self._opened(cue) for cue in self._due(self.sent)), key=lambda voice: voice.ready)
        if slowest.ready <= self.sent:
            yield from slowest.advance(schedule)
            self.frames_made += 1
        out: list[AudioOut] = []
        while (end := self._settled_until(limit)) > self.sent:
            out.append(AudioOut(self.sent, self.epoch, self._mix(self.sent, end)))
            self.samples_sent += end - self.sent
            self.sent = end
        return out

    def grown_deaf(self) -> bool:
        """Whether, since this was last asked, guidance was wanted of a stream that cannot be given it."""
        deaf = [voice for voice in self._voices.values() if voice.deaf and voice.start not in self._deaf]
        self._deaf = {voice.start for voice in self._voices.values() if voice.deaf}
        return bool(deaf)

    def current(self) -> Generator | None:
        """The newest stream that sounds now, as it stands."""
        due = [self._voices[cue.at_sample] for cue in self._due(self.sent) if cue.at_sample in self._voices]
        return due[-1].generator if due else None

    def skip_to(self, at_sample: int, carry: bool = False) -> None:
        """Give up all streams; go on from a later sample. For a client that has long passed what was made.

        carry: the newest stream is carried on by the next voice that no trigger started.
        """
        self.going_on = (self.current() or self.going_on) if carry else None
        self._voices.clear()
        self.sent = max(self.sent, at_sample)
        self._version = -1

    def jump(self, to: int, heard: int | None) -> None:
        """Give up all streams; go on from any other sample, in a new epoch.

        heard: the newest stream that sounds at this sample is carried on from there by the next voice that no
        trigger started; None: none is.
        """
        due = [] if heard is None else [self._voices.get(cue.at_sample) for cue in self._due(heard)]
        streams = [voice.gone_back(heard or 0) for voice in due if voice is not None]
        found = [stream for stream in streams if stream is not None]
        self.going_on = found[-1] if found else self.going_on if heard is not None else None
        self._voices.clear()
        self._cues, self._version = (), -1
        self.sent = to
        self.epoch += 1

    def resume(self, schedule: Schedule, sent: int, epoch: int, stream: Generator | None) -> None:
        """Go on where a lost engine had come to; `stream` is what its newest stream has become."""
        self.sent, self.epoch, self.going_on = sent, epoch, stream
        self._cues, self._version = schedule.cues, schedule.version

    def _reconcile(self, schedule: Schedule) -> None:
        """Bring the streams in line with the schedule, and go back in what was sent if they changed there."""
        if not self.outdated(schedule):
            return
        self._version = schedule.version
        changes = [
            cue.at_sample
            for cue in set(self._cues) ^ set(schedule.cues)
            if cue.at_sample >= self._kept_from(schedule)
        ]
        self._cues = schedule.cues
        starts = {cue.at_sample for cue in self._cues if cue.kind == "start"}
        self._voices = {start: voice for start, voice in self._voices.items() if start in starts}
        for index, cue in enumerate(self._cues):
            if cue.at_sample in self._voices:
                self._fit(self._voices[cue.at_sample], index)
        for voice in self._voices.values():
            changed = voice.reconcile(schedule)
            if changed is not None and (voice.tail_end is None or changed < voice.tail_end):
                changes.append(changed)
        first = min(changes, default=self.sent)
        if first < self.sent:
            self.sent = first
            self.epoch += 1
        self._voices = {
            start: voice
            for start, voice in self._voices.items()
            if (voice.tail_end or self.sent + 1) > self.sent
        }

    def _kept_from(self, schedule: Schedule) -> int:
        """Cues before this were forgotten by the schedule, not taken back."""
        return schedule.cues[0].at_sample if schedule.cues else 0

    def _span(self, index: int) -> tuple[int | None, int]:
        """Where the stream of a start cue ends, and over how many samples it fades from there."""
        if index + 1 == len(self._cues):
            return None, 0
        after = self._cues[index + 1]
        return after.at_sample, after.fade_out

    def _due(self, at_sample: int) -> list[Cue]:
        """The start cues whose streams sound at a sample, begun or not."""
        found = []
        for index, cue in enumerate(self._cues):
            end, fade = self._span(index)
            if cue.kind == "start" and cue.at_sample <= at_sample and (end is None or at_sample < end + fade):
                found.append(cue)
        return found

    def _opened(self, cue: Cue) -> Voice:
        """The stream of a start cue; begun here if it has not."""
        voice = self._voices.get(cue.at_sample)
        if voice is None:
            seed = _mixed(self._seed, cue.at_sample)
            stream = None if cue.by_trigger else self.going_on
            prompt = None if stream is not None else self.begin_with
            voice = Voice(self._model, self._resampler, cue.at_sample, seed, self.guided, stream, prompt)
            self.going_on = self.begin_with = None
            self._voices[cue.at_sample] = voice
            self._fit(voice, self._cues.index(cue))
        return voice

    def _fit(self, voice: Voice, index: int) -> None:
        """Give a stream the end and fades that its cue and the next one say."""
        voice.fade_in = self._cues[index].fade_in
        voice.end, voice.fade_out = self._span(index)

    def _next_start(self, after: int) -> Cue | None:
        """The first start cue later than a sample."""
        return next((cue for cue in self._cues if cue.kind == "start" and cue.at_sample > after), None)

    def _settled_until(self, limit: int) -> int:
        """The end of the block that can be sent from `sent` on: all ready, none beginning or ending
        inside.
        """
        due = self._due(self.sent)
        if not due or any(cue.at_sample not in self._voices for cue in due):
            return self.sent
        ends = [limit, self.sent + MAX_BLOCK]
        for voice in (self._voices[cue.at_sample] for cue in due):
            ends.append(voice.ready)
            if voice.tail_end is not None:
                ends.append(voice.tail_end)
        following = self._next_start(self.sent)
        return min(ends) if following is None else min(*ends, following.at_sample)

    def _mix(self, first: int, end: int) -> Wave:
        total: Wave = np.zeros((self._model.spec.channels, end - first), np.float32)
        for cue in self._due(first):
            total += self._voices[cue.at_sample].render(first, end)
        return for_channels(np.nan_to_num(total, copy=False, nan=0.0, posinf=0.0, neginf=0.0), self._channels)


def for_channels(wave: Wave, channels: int) -> Wave:
    """[C, n] as the client's channels: mono goes to all, many go to one as their mean, else cut or filled
    with silence.
    """
    have = wave.shape[0]
    if have == channels:
        return wave
    if have == 1:
        return np.repeat(wave, channels, axis=0)
    if channels == 1:
        mean: Wave = wave.mean(axis=0, keepdims=True, dtype=np.float32)
        return mean
    out = np.zeros((channels, wave.shape[1]), np.float32)
    out[: min(have, channels)] = wave[: min(have, channels)]
    return out


def _mixed(seed: int, start: int) -> int:
    """The seed of the stream that starts at a sample: same session seed and place, same music. 0..2**63 -
    1.
    """
    digest = hashlib.blake2b(f"{seed}:{start}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
