"""The loudest pitch class of each codec frame, heard while a clip comes: for melodies before the music.

What PrefixChroma says of the whole clip with one codec frame a hop. Knows nothing about models and files.
"""

from __future__ import annotations

import torch
from torch import Tensor

from descant.model.conditions.prefix_chroma import PrefixChroma
from descant.model.conditions.sinc import SincStream

_BATCH = 32  # frames at once: always as many, so that all are rounded alike


class PrefixListener:
    """Hears a clip while it comes, whatever the pieces: to the bit what one piece gives.

    maker: its numbers. rate: of the clip, Hz.
    """

    def __init__(self, maker: PrefixChroma, rate: float) -> None:
        self._maker = maker
        self._resampled = SincStream(rate, maker.sample_rate)
        self._edge = maker.n_fft // 2  # samples mirrored at both ends
        self._span = (_BATCH - 1) * maker.hop + maker.n_fft
        self._n = 0  # samples so far, at the maker's rate
        self._first = 0  # place of `_waiting` in the clip, its mirrored beginning included once it is there
        self._waiting = torch.zeros(0)
        self._mirrored = False
        self._frames: list[Tensor] = []

    def push(self, piece: Tensor) -> None:
        """The clip's next samples, [n] float32, about -1..1."""
        self._take(self._resampled.push(piece))

    def finish(self) -> Tensor:
        """The clip is over: [F, n_chroma] one-hot, F = ceil(samples / hop). Nothing is pushed after it."""
        self._take(self._resampled.finish())
        maker, length = self._maker, self._n
        n_frames = -(-length // maker.hop)
        if n_frames == 0:
            return torch.zeros(0, maker.n_chroma)
        if length < maker.n_fft:  # silence after it; before it, as `frames` has it, would move it
            self._take(torch.zeros(maker.n_fft - length))
        tail = self._waiting[-self._edge - 1 : -1].flip(0)
        self._waiting = torch.cat([self._waiting, tail])
        while len(self._frames) * _BATCH < n_frames:
            short = max(0, len(self._frames) * _BATCH * maker.hop - self._edge + self._span - self._end)
            self._waiting = torch.nn.functional.pad(self._waiting, (0, short))
            self._analyse()
        return torch.cat(self._frames)[:n_frames]

    @property
    def _end(self) -> int:
        """The place after what waits."""
        return self._first + self._waiting.numel()

    def _take(self, piece: Tensor) -> None:
        self._n += piece.numel()
        self._waiting = torch.cat([self._waiting, piece])
        if not self._mirrored:
            if self._waiting.numel() <= self._edge:
                return
            self._waiting = torch.cat([self._waiting[1 : self._edge + 1].flip(0), self._waiting])
            self._first, self._mirrored = -self._edge, True
        while self._end >= len(self._frames) * _BATCH * self._maker.hop - self._edge + self._span:
            self._analyse()

    def _analyse(self) -> None:
        """Look at the next frames, and let go of what neither a later one nor the end's mirror needs."""
        at = len(self._frames) * _BATCH * self._maker.hop - self._edge - self._first
        self._frames.append(self._maker.loudest(self._waiting[at : at + self._span].clone()))
        following = len(self._frames) * _BATCH * self._maker.hop - self._edge
        done = max(0, min(following, self._end - self._edge - 1) - self._first)
        self._waiting, self._first = self._waiting[done:], self._first + done
