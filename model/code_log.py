"""The codes a stream has drawn, by frame and codebook, and the frame controls they were drawn under.

Knows nothing about columns or patterns. Each codebook's codes are known from the oldest frame held up to its
own end without a gap; the codebooks' ends differ, for a pattern draws some sooner.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor


class CodeLog:
    """Grows by 4 bytes a code: an hour of 8 codebooks at 50 Hz is 6 MB.

    n_codebooks: K. base: the oldest frame held. control_room: latest frames whose controls are held.
    """

    def __init__(self, n_codebooks: int, control_dim: int, control_room: int, base: int = 0) -> None:
        self.base = base
        self._codes = [array("i") for _ in range(n_codebooks)]
        self._controls = torch.zeros(control_room, control_dim)
        self.asked = base  # one past the latest frame whose controls are held

    # Codes

    def ends(self) -> tuple[int, ...]:
        """For each codebook, one past the last frame whose code is known."""
        return tuple(self.base + len(codes) for codes in self._codes)

    @property
    def complete(self) -> int:
        """One past the last frame all of whose codes are known."""
        return self.base + min(map(len, self._codes))

    @property
    def horizon(self) -> int:
        """The first frame none of whose codes is known."""
        return self.base + max(map(len, self._codes))

    def end(self, codebook: int) -> int:
        """One past the last frame whose code of this codebook is known."""
        return self.base + len(self._codes[codebook])

    def code(self, codebook: int, frame: int) -> int:
        """A known code."""
        return self._codes[codebook][frame - self.base]

    def add(self, codebook: int, code: int) -> None:
        """The code of the frame at the codebook's end."""
        self._codes[codebook].append(code)

    def extend(self, codes: Tensor) -> None:
        """Whole frames [K, n] at the end; all codebooks must end at the same frame."""
        for mine, new in zip(self._codes, codes.tolist()):
            mine.extend(new)

    def frames(self, first: int, end: int) -> Tensor:
        """The codes of frames first .. end - 1, all of them known: [K, end - first] int64."""
        low, high = first - self.base, end - self.base
        return torch.tensor([codes[low:high].tolist() for codes in self._codes], dtype=torch.int64)

    def tails(self, first: int) -> tuple[array[int], ...]:
        """Each codebook's codes from frame `first` to its end: copies."""
        return tuple(codes[max(0, first - self.base) :] for codes in self._codes)

    def fill(self, tails: Sequence[Sequence[int]]) -> None:
        """Codes of each codebook from frame `base` on, into an empty log."""
        for mine, new in zip(self._codes, tails):
            mine.extend(new)

    def keep(self, end: int) -> None:
        """Forget the codes and the controls of frame `end` and all after it."""
        for codes in self._codes:
            del codes[end - self.base :]
        self.asked = min(self.asked, end)

    # Controls

    def write_controls(self, frame: int, controls: Tensor) -> None:
        """Remember the controls [control_dim] of a frame, the next after `asked` or one already held."""
        self._controls[frame % self._controls.shape[0]].copy_(controls)
        self.asked = max(self.asked, frame + 1)

    def control(self, frame: int) -> Tensor:
        """[control_dim] of one of the latest control_room frames asked for; not to be changed."""
        return self._controls[frame % self._controls.shape[0]]

    def controls(self, first: int, end: int) -> Tensor:
        """[end - first, control_dim], a copy; of the latest control_room frames asked for only."""
        return self._controls[torch.arange(first, end) % self._controls.shape[0]]
