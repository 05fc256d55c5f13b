"""The process that listens to hums (`python -m descant.host.edge.hum_process`): pitch, scores, takes.

Thread: main alone. Reads what is asked on standard input, answers on standard output, ends with its input.
What takes long, or a disk that hangs, holds up nobody who plays.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from descant.host.edge import hum_words as words
from descant.host.edge.pitch_tracker import ClipTracker, Trackers
from descant.host.edge.take_store import TakeStore
from descant.host.errors import HostError
from descant.host.follow import follow
from descant.host.takes import Take

MODULE = "descant.host.edge.hum_process"
MAX_CLIPS = 4


class Listener:
    """clips: trackers of clips that are not over."""

    def __init__(self, trackers: Trackers) -> None:
        self._trackers = trackers
        self._clips: dict[int, ClipTracker] = {}

    def answer(self, asked: words.Asked) -> words.Answer:
        """Do it. What cannot be is answered, never raised."""
        try:
            match asked:
                case words.Push():
                    return self._traced(asked)
                case words.Judge():
                    found = follow(words.wave_in(asked.music), asked.rate, words.notes_in(asked.notes))
                    if found is None:
                        return words.Judged(asked.number, -1.0, 0.0, 0.0)
                    return words.Judged(asked.number, found.score, found.chance, found.late)
                case words.Keep():
                    return words.Kept(asked.number, keep(asked))
        except HostError as error:
            return words.Failed(asked.number, error.what)
        except Exception as error:  # whatever it is, the next one may be possible
            return words.Failed(asked.number, str(error) or type(error).__name__)

    def _traced(self, asked: words.Push) -> words.Traced:
        clip = self._clips.get(asked.number)
        if clip is None:
            while len(self._clips) >= MAX_CLIPS:  # nobody waits for the oldest any more
                self._clips.pop(next(iter(self._clips)))
            clip = self._clips[asked.number] = ClipTracker(self._trackers.make(), asked.rate)
        trace = clip.push(words.wave_in(asked.wave), asked.last)
        if asked.last:
            self._clips.pop(asked.number, None)
        hz, confidence, level = map(words.wave_out, (trace.hz, trace.confidence, trace.level))
        return words.Traced(asked.number, hz, confidence, level, asked.last, self._trackers.name)


def keep(asked: words.Keep) -> int:
    """A hum as a take; its number. Raises HostError or OSError."""
    wave = words.wave_in(asked.wave)[None]
    now = datetime.now(UTC)
    with TakeStore(Path(asked.folder)) as store:
        writer = store.begin(f"{datetime.now():%Y-%m-%d %H-%M} hum", asked.rate, 1)
        try:
            take = store.keep(
                Take(
                    writer.path.stem,
                    now.isoformat(timespec="seconds"),
                    writer.path.name,
                    wave.shape[1] / asked.rate,
                    "hum",
                    tempo=asked.tempo,
                    key=asked.key,
                )
            )
            if not writer.write(wave):
                why = writer.full
                writer.close()
                store.remove(take.number)
                raise OSError(why)
        finally:
            writer.close()
        return take.number


def main() -> None:
    """Thread: main."""
    with suppress(OSError):
        os.nice(5)  # who plays comes first
    listener = Listener(Trackers())
    source, target = sys.stdin.buffer, sys.stdout.buffer
    with suppress(BrokenPipeError, KeyboardInterrupt):
        while (asked := words.get_asked(source)) is not None:
            words.put(target, listener.answer(asked))


if __name__ == "__main__":
    main()
