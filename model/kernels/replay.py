"""Work on a GPU recorded once and played again: one launch instead of hundreds. Elsewhere it is just called.

After torch's notes on CUDA graphs: a few runs on a stream of their own first, then the recording.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

_WARM_UPS = 3  # libraries choose their kernels and make their workspaces in the first runs


class Replay:
    """work: reads and writes the same tensors each time and leaves nothing to decide on the way; running it
    several times for one column must be the same as once."""

    def __init__(self, work: Callable[[], None], device: torch.device) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None
        if device.type != "cuda":
            return
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                work()
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        self._graph = graph

    def __call__(self) -> None:
        """Do it once more, with what the tensors hold now."""
        if self._graph is None:
            self._work()
        else:
            self._graph.replay()
