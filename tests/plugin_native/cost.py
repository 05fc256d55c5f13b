"""What a block costs the audio thread while the host plays, is gone or is not there; asserts nothing.

python -m tests.plugin_native.cost [BLOCK]
"""

from __future__ import annotations

import statistics
import sys

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import SmallHost, ipc_endpoint, voice
from tests.plugin_native.rig import NativeDaw, build, load
from tests.plugin_native.test_core_native import FADE, RATE, Stage, until

ROUNDS = 20


def main(block: int) -> None:
    lib = load(build(target="probe"))
    found: dict[str, list[float]] = {"live": [], "gone, faded": [], "gone, held": []}
    with ipc_endpoint() as endpoint:
        host = SmallHost(endpoint)
        daw = NativeDaw(lib, endpoint, RATE, block)
        stage = Stage(host, daw)
        found["no host yet"] = [daw.cost(200, block) for _ in range(ROUNDS)]
        stage.live()
        for turn in range(ROUNDS):
            manner = "hold" if turn % 2 else "fade"
            host.server.send(host.client, wire.Fallback(manner))
            for _ in range(3):  # more than a bar of 120 bpm
                start = daw.playhead
                for at in range(start, start + RATE, 480):
                    host.server.send(host.client, wire.Audio(0, voice(0, at, 480), at_sample=at))
                until(lambda: daw.ready(RATE - FADE), stage.turn)
                blocks = (RATE - 2 * FADE) // block
                found["live"].append(daw.cost(blocks, block))
            daw.cost(4, block)
            found[f"gone, {'held' if turn % 2 else 'faded'}"].append(daw.cost(200, block))
        daw.close()
        host.server.close()
    for name, costs in found.items():
        share = statistics.median(costs) / (block / RATE * 1e9)
        cost = f"{statistics.median(costs) / 1000:7.2f} us a block of {block}"
        print(f"{name:12} {cost}, {100 * share:.3f} % of its time")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
