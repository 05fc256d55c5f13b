"""All streams of one session mixed into addressed blocks: what has been sent, what must be sent again, what
comes next.

Knows nothing about events or musical time: it follows a schedule and a pacing. Positions are the client's
samples.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from descant.host.events import AudioOut, Wave
from descant.host.held import Held, Memory
from descant.host.pacing import Pacing
from descant.host.resample import Resampler
from descant.host.schedule import Cue, Schedule
from descant.host.voice import Begin, Voice
from descant.model import Generator, MusicModel
from descant.model.work import Work

SEAM_MS = 5.0  # where the end of a held bar runs into its beginning
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
        self._voices: dict[int, Voice | Held] = {}
        self._memory = Memory(rate)
        self._seam = max(1, round(rate * SEAM_MS / 1000))
        self._cues: tuple[Cue, ...] = ()
        self._version = -1
        self._deaf: set[int] = set()  # starts of streams of which that has been said
        self.rows = 2  # of new streams' guidance, see schedule.rows_of; each costs as much as the first
        self.two_step = False  # whether rows run one after the other, see model's Form
        self.going_on: Generator | None = None  # a stream of a lost engine, for the next voice to carry on
        self.begin_with: Begin | None = None  # other music that the first stream goes on from

    def oldest_changeable(self) -> int:
        """The first sample that every stream can still go back to."""
        due = (self._voices.get(cue.at_sample) for cue in self._due(self.sent))
        return max((voice.oldest_changeable for voice in due if voice is not None), default=0)

    def undecided(self) -> int:
        """The first sample that nothing made so far has touched: a change from here on costs no work."""
        due = [self._voices.get(cue.at_sample) for cue in self._due(self.sent)]
        return max((voice.undecided for voice in due if isinstance(voice, Voice)), default=self.sent)

    def can_hold(self, length: int) -> bool:
        """Whether so many samples were sent without a gap, to be held."""
        return self._memory.knows(self.sent, length + self._seam)

    def first_change(self, at_sample: int) -> int:
        """The first sample that a change of the scene at `at_sample` can change, when it does."""
        for voice in self._voices.values():
            if isinstance(voice, Held):
                continue
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
        due = [self._opened(cue, schedule) for cue in self._due(self.sent)]
        slowest = min(due, key=lambda voice: voice.ready)
        if isinstance(slowest, Voice) and slowest.ready <= self.sent:
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
        if due and isinstance(due[-1], Held):
            before = self._before(due[-1])
            return self.going_on if before is None else before.generator
        return due[-1].generator if due else None

    def skip_to(self, at_sample: int, carry: bool = False) -> None:
        """Give up all streams; go on from a later sample. For a client that has long passed what was made.

        carry: the newest stream is carried on by the next voice that no trigger started.
        """
        self.going_on = (self.current() or self.going_on) if carry else None
        self._voices.clear()
        self._memory.forget()
        self.sent = max(self.sent, at_sample)
        self._version = -1

    def jump(self, to: int, heard: int | None) -> None:
        """Give up all streams; go on from any other sample, in a new epoch.

        heard: the newest stream that sounds at this sample is carried on from there by the next voice that no
        trigger started; None: none is.
        """
        due = [] if heard is None else [self._voices.get(cue.at_sample) for cue in self._due(heard)]
        streams = [self._gone_back(voice, heard or 0) for voice in due if voice is not None]
        found = [stream for stream in streams if stream is not None]
        self.going_on = found[-1] if found else self.going_on if heard is not None else None
        self._voices.clear()
        self._memory.forget()
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
        begun = {cue.at_sample: (cue.kind, cue.prompt) for cue in self._cues}
        for start, voice in list(self._voices.items()):
            as_begun = ("hold", b"") if isinstance(voice, Held) else ("start", voice.prompt)
            if begun.get(start) != as_begun:
                self._drop(voice, schedule)
        for index, cue in enumerate(self._cues):
            if cue.at_sample in self._voices:
                self._fit(self._voices[cue.at_sample], index)
        for stream in [voice for voice in self._voices.values() if isinstance(voice, Voice)]:
            changed = stream.reconcile(schedule)
            if changed is not None and (stream.tail_end is None or changed < stream.tail_end):
                changes.append(changed)
        first = min(changes, default=self.sent)
        if first < self.sent:
            self.sent = first
            self.epoch += 1
        over = [voice for voice in self._voices.values() if (voice.tail_end or self.sent + 1) <= self.sent]
        for voice in over:
            self._drop(voice, schedule)

    def _drop(self, voice: Voice | Held, schedule: Schedule) -> None:
        """Forget a stream; the one whose last bar is held is carried on by what comes after that."""
        end = voice.start if schedule.holding(voice.start) else voice.end
        if isinstance(voice, Voice) and end is not None and end <= self.sent and schedule.holding(end):
            self.going_on = voice.gone_back(end) or self.going_on
        del self._voices[voice.start]

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
        """The cues whose streams or held bars sound at a sample, begun or not."""
        found = []
        for index, cue in enumerate(self._cues):
            end, fade = self._span(index)
            if cue.kind != "stop" and cue.at_sample <= at_sample and (end is None or at_sample < end + fade):
                found.append(cue)
        return found

    def _gone_back(self, voice: Voice | Held, heard: int) -> Generator | None:
        """A stream, or the one before a held bar, gone back to what is heard at a sample or was last."""
        if isinstance(voice, Voice):
            return voice.gone_back(heard)
        before = self._before(voice)
        return None if before is None else before.gone_back(voice.start)

    def _before(self, held: Held) -> Voice | None:
        """The stream whose last bar is held, if it is still there."""
        voices = [voice for voice in self._voices.values() if isinstance(voice, Voice)]
        return next((voice for voice in voices if voice.end == held.start), None)

    def _opened(self, cue: Cue, schedule: Schedule) -> Voice | Held:
        """The stream of a start cue or the bar of a hold; begun here if it has not."""
        voice = self._voices.get(cue.at_sample)
        if voice is None and cue.kind == "hold":
            grid = schedule.scene(cue.at_sample).timeline.at(cue.at_sample)
            beat = 60 * self._resampler.target_rate / grid.tempo
            bar = grid.bar_beats * beat
            lengths = tuple(max(2 * self._seam, round(length)) for length in (bar, bar / 2, beat))
            voice = self._voices[cue.at_sample] = Held(self._memory, cue.at_sample, lengths, self._seam)
            self._fit(voice, self._cues.index(cue))
        elif voice is None:
            seed = _mixed(self._seed, cue.at_sample)
            stream = None if cue.by_trigger else self.going_on
            told = codes_of(cue.prompt, self._model.spec.n_codebooks)
            begin = None
            if stream is None:
                begin = Begin(told, sounds=False) if told is not None else self.begin_with
            voice = Voice(
                self._model, self._resampler, cue.at_sample, seed, self.rows, stream, begin, self.two_step
            )
            voice.prompt = cue.prompt
            self.going_on = self.begin_with = None
            self._voices[cue.at_sample] = voice
            self._fit(voice, self._cues.index(cue))
        return voice

    def _fit(self, voice: Voice | Held, index: int) -> None:
        """Give a stream the end and fades that its cue and the next one say."""
        voice.fade_in = self._cues[index].fade_in
        voice.end, voice.fade_out = self._span(index)

    def _next_start(self, after: int) -> Cue | None:
        """The first cue later than a sample from which something sounds."""
        return next((cue for cue in self._cues if cue.kind != "stop" and cue.at_sample > after), None)

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
        total = np.nan_to_num(total, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        self._memory.write(first, total)
        return for_channels(total, self._channels)


def codes_of(prompt: bytes, n_codebooks: int) -> Tensor | None:
    """A cue's prompt as codes [K, F] int64; None for none."""
    if not prompt:
        return None
    codes = np.frombuffer(prompt, np.int32).astype(np.int64)
    return torch.from_numpy(codes.reshape(n_codebooks, -1))


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
