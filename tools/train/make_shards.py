"""Command: render the training and held-out shards, resumable.

`python -m tools.train.make_shards --folder DIR --shards 60`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .render import render_shard

PIECES_PER_SHARD = 40
HELD_OUT_SEED = 10_000_000  # held-out pieces start here; training seeds stay below


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where shards are kept (outside the repository)"
    )
    parser.add_argument(
        "--shards", type=int, default=60, help="training shards of 40 pieces (20.5 minutes) each"
    )
    args = parser.parse_args()
    names = [("held", HELD_OUT_SEED)] + [(f"train-{i:04d}", i * PIECES_PER_SHARD) for i in range(args.shards)]
    for done, (name, seed) in enumerate(names, 1):
        begin = time.monotonic()
        render_shard(args.folder, name, list(range(seed, seed + PIECES_PER_SHARD)))
        print(f"[{done}/{len(names)}] {name} {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
