"""The addressed playout ring: audio is placed at sample positions and read at the playhead, never queued.

Contract
- One owner: every method is called from the same thread (the audio thread). `playhead`, `capacity` and the
  counters are plain numbers that any thread may look at. All memory is allocated in the constructor and never
  grows.
- `place(at_sample, epoch, wave)` puts a block [C, n] at its address. Only samples inside the window
  [playhead, playhead + capacity) count: earlier ones are dropped and counted `late`, later ones `far`; a
  block with none inside has no other effect. Blocks of an epoch older than the newest are dropped, counted
  `stale`.
- The first block of a newer epoch *cuts*: from its first sample in the window on, everything of older epochs
  goes. What would have been heard from there fades out over the fade length while the new epoch fades in,
  equal gain: the host joins its epochs without a seam, so both sides carry the same sound and equal power
  would raise it by 3 dB. A later block of the same epoch that lies before the cut moves the cut there.
- `read_into(out)` gives the next n samples at the playhead and moves it. Where nothing was placed is silence:
  the last fade length of audio before a gap fades out, the first after it fades in. A gap filled in time
  leaves no trace; a fade that had begun turns round without a step. Each time sound ends in a gap is one
  underrun.
- `seek(at_sample)` moves the playhead: what was about to be heard fades out, what lies at the new place fades
  in. Going forward keeps the audio that lies beyond; going back empties the ring.
- Chunking of reads and blocks does not matter: what is heard depends only on what was known when it was read.
- Waves are finite (the wire refuses NaN).

How. Two layers. `new` holds the newest epoch as it came, `placed` says which of its samples are there. A cut
renders what would have been heard of everything before into `old`, where it needs no more thought: it is
simply added. So at any time output(p) = old(p) + gain(r(p)) * new(p), where r counts 0..F samples of fade and
gain is a raised cosine. Per sample r rises by at most 1, is at most the distance to the next missing sample,
and is -1 where one is missing.
"""

from __future__ import annotations

import numpy as np

from descant.plugin_bridge.fields import Wave

FADE_MS = 5.0
NEVER = -1
"""Epoch of a ring that has not been given any audio."""


class PlayoutRing:
    """See the contract above. channels: C. sample_rate: Hz. capacity: samples past the playhead it takes."""

    def __init__(self, channels: int, sample_rate: int, capacity: int, *, max_block: int = 4096) -> None:
        self.channels = channels
        self.capacity = capacity
        self.fade = max(1, round(sample_rate * FADE_MS / 1000))
        self.playhead = 0
        self.epoch = NEVER
        self.underruns = 0
        self.late = 0
        self.far = 0
        self.stale = 0
        n_fade, n_slots = self.fade, capacity + self.fade
        self._n_slots = n_slots
        self._max_block = max(min(max_block, capacity), n_fade)
        self._new = np.zeros((channels, n_slots), np.float32)
        self._old = np.zeros((channels, n_slots), np.float32)
        self._placed = np.zeros(n_slots, np.bool_)
        self._covered = np.zeros(n_slots, np.bool_)  # placed, or rendered from placed audio
        self._cut = 0  # where the newest epoch begins
        self._old_end = 0  # `old` is zero from here on
        self._r = -1  # fade count of the last sample read
        self._sounding = False  # whether the last sample read was covered
        angle = np.arange(n_fade + 1) * (np.pi / 2 / n_fade)
        self._gains = np.concatenate(([0.0], np.sin(angle) ** 2)).astype(np.float32)  # index r + 1
        self._fade_in = (np.sin(angle[:-1]) ** 2).astype(np.float32)
        self._fade_out = (np.cos(angle[:-1]) ** 2).astype(np.float32)
        scratch = self._max_block + n_fade
        self._flags = np.zeros(scratch, np.bool_)
        self._mask = np.zeros(self._max_block, np.bool_)
        self._idx = np.arange(scratch, dtype=np.intp)  # intp: what np.take wants
        self._ahead, self._work = np.zeros(scratch, np.intp), np.zeros(scratch, np.intp)
        self._gain = np.zeros(self._max_block, np.float32)
        self._tail = np.zeros((channels, n_fade), np.float32)
        self._mix = np.zeros((channels, self._max_block), np.float32)

    def place(self, at_sample: int, epoch: int, wave: Wave) -> int:
        """Thread: audio. Put a block [C, n] float32 at its address; how many of its samples were taken."""
        n: int = wave.shape[1]
        if epoch < self.epoch:
            self.stale += n
            return 0
        window_end = self.playhead + self.capacity
        low, high = max(at_sample, self.playhead), min(at_sample + n, window_end)
        self.late += min(n, max(0, self.playhead - at_sample))
        self.far += min(n, max(0, at_sample + n - window_end))
        if high <= low:
            return 0
        if epoch > self.epoch:
            self._begin_epoch(low)
            self.epoch = epoch
        elif low < self._cut:
            self._lower_cut(low)
        done = low
        for at, length in self._spans(low, high - low):
            self._new[:, at : at + length] = wave[:, done - at_sample : done - at_sample + length]
            self._placed[at : at + length] = True
            self._covered[at : at + length] = True
            done += length
        return high - low

    def read_into(self, out: Wave) -> int:
        """Thread: audio. Fill out [C, n] float32 from the playhead on; how many samples were covered."""
        n, done, covered = out.shape[1], 0, 0
        while done < n:
            step = min(n - done, self._max_block)
            covered += self._read_block(out[:, done : done + step])
            done += step
        return covered

    def seek(self, at_sample: int) -> None:
        """Thread: audio. Move the playhead to at_sample."""
        shift = at_sample - self.playhead
        if shift == 0:
            return
        self._render(self.playhead, self._tail, self._r)
        self._tail *= self._fade_out
        self._clear(self.playhead, self._n_slots if shift < 0 else min(shift, self._n_slots))
        self.playhead = at_sample
        self._old_end = at_sample + self.fade if shift < 0 else max(self._old_end, at_sample + self.fade)
        done = 0
        for at, length in self._spans(at_sample, self.fade):
            old = self._old[:, at : at + length]
            old *= self._fade_in[done : done + length]
            old += self._tail[:, done : done + length]
            done += length
        self._r, self._sounding = -1, False

    def forget_epochs(self) -> None:
        """Thread: audio. Take the next block as a newer epoch, whatever its number: the host is new."""
        self.epoch = NEVER

    def ahead(self, limit: int) -> int:
        """Thread: audio. Samples from the playhead to the first one that is missing; at most limit."""
        count = 0
        for at, length in self._spans(self.playhead, min(limit, self.capacity)):
            flags = self._covered[at : at + length]
            if not flags.all():
                return count + int(np.argmin(flags))
            count += length
        return count

    def _spans(self, position: int, n: int) -> list[tuple[int, int]]:
        """Slots of n <= n_slots positions: one (start, length), or two where the ring wraps."""
        start = position % self._n_slots
        first = min(n, self._n_slots - start)
        return [(start, first)] if first == n else [(start, first), (0, n - first)]

    def _clear(self, position: int, n: int) -> None:
        for at, length in self._spans(position, n):
            self._old[:, at : at + length] = 0
            self._placed[at : at + length] = False
            self._covered[at : at + length] = False

    def _read_block(self, out: Wave) -> int:
        n = out.shape[1]
        self._r = self._render(self.playhead, out, self._r)
        count, sounding = 0, self._sounding
        for at, length in self._spans(self.playhead, n):
            flags = self._covered[at : at + length]
            count += int(np.count_nonzero(flags))
            ends = np.greater(flags[:-1], flags[1:], out=self._mask[: length - 1])
            self.underruns += int(np.count_nonzero(ends)) + (sounding and not flags[0])
            sounding = bool(flags[-1])
        self._sounding = sounding
        self._clear(self.playhead, n)
        self.playhead += n
        return count

    def _render(self, start: int, out: Wave, r: int) -> int:
        """What is heard from start on, into out [C, n], n <= max_block, r before it; the last r."""
        n = out.shape[1]
        gain, r = self._fades(start, n, r)
        done = 0
        for at, length in self._spans(start, n):
            piece = out[:, done : done + length]
            if gain is None:
                piece[:] = self._new[:, at : at + length]
            else:
                np.multiply(self._new[:, at : at + length], gain[done : done + length], out=piece)
            more = min(length, self._old_end - start - done)
            if more > 0:
                for mine, old in zip(piece, self._old, strict=True):  # by channel: numpy would buffer both
                    np.add(mine[:more], old[at : at + more], out=mine[:more])
            done += length
        return r

    def _fades(self, start: int, n: int, r: int) -> tuple[Wave | None, int]:
        """Gains of `new` for n samples from start on (None: all 1), and the last r; in integers."""
        total, full, done = n + self.fade, self.fade, 0
        flags = self._flags[:total]
        for at, length in self._spans(start, min(total, self.playhead + self._n_slots - start)):
            flags[done : done + length] = self._placed[at : at + length]
            done += length
        flags[done:] = False
        if r == full and flags.all():
            return None, full
        idx, work, ahead = self._idx[:total], self._work[:total], self._ahead[:total]
        # Distance to the next missing sample, capped: running minimum, from the right, of missing positions.
        np.copyto(work, idx)
        np.copyto(work, total + full, where=flags)
        np.minimum.accumulate(work[::-1], out=ahead[::-1])
        ahead -= idx
        np.minimum(ahead, full, out=ahead)
        limit, present = ahead[:n], flags[:n]
        missing = np.logical_not(present, out=self._mask[:n])
        np.subtract(limit, 1, out=limit, where=missing)  # 0 - 1 where missing
        # r(p) = min(r(p - 1) + 1, limit(p)): the running minimum of limit(q) - q, plus p.
        limit[0] = min(int(limit[0]), r + 1)
        limit -= idx[:n]
        counts = np.minimum.accumulate(limit, out=work[:n])
        counts += idx[:n]
        last = int(counts[-1])
        counts += 1
        gain = np.take(self._gains, counts, out=self._gain[:n], mode="clip")
        return gain, last

    def _begin_epoch(self, cut: int) -> None:
        """Render what would be heard up to the end of a fade-out at the cut into `old`; empty `new`."""
        end = cut + self.fade
        position, r = self.playhead, self._r
        while position < end:
            mix = self._mix[:, : min(self._max_block, end - position)]
            r = self._render(position, mix, r)
            done = 0
            for at, length in self._spans(position, mix.shape[1]):
                self._old[:, at : at + length] = mix[:, done : done + length]
                done += length
            position += mix.shape[1]
        old_end, self._old_end = self._old_end, end
        self._fade_old(cut, old_end)
        self._placed[:] = False
        self._uncover(cut, self.playhead + self._n_slots)
        self._cut = cut
        if cut == self.playhead:
            self._r = -1

    def _lower_cut(self, cut: int) -> None:
        """Let `old` end earlier, at a cut that a late block of the newest epoch has moved down."""
        old_end, self._old_end = self._old_end, min(self._old_end, cut + self.fade)
        self._fade_old(cut, old_end)
        self._uncover(cut, self._cut)
        self._cut = cut

    def _fade_old(self, cut: int, old_end: int) -> None:
        """Fade `old` out from the cut on; it is zero after that, up to where it used to end."""
        done = 0
        for at, length in self._spans(cut, self.fade):
            self._old[:, at : at + length] *= self._fade_out[done : done + length]
            done += length
        if old_end > self._old_end:
            for at, length in self._spans(self._old_end, old_end - self._old_end):
                self._old[:, at : at + length] = 0

    def _uncover(self, low: int, high: int) -> None:
        for at, length in self._spans(low, high - low):
            self._covered[at : at + length] = False
