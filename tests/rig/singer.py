"""Somebody who hums: a second program that plays sound into the product's input on a JACK server."""

import subprocess
import sys

import numpy as np

# A line in is a file's number to play; it plays at once, into the input of the product.
PROGRAM = """
import sys, sounddevice, numpy as np
waves = [np.load(name).astype(np.float32) for name in sys.argv[1:]]
place = [waves[0], len(waves[0])]
def play(out, n, time, status):
    wave, at = place
    part = wave[at : at + n]
    out[: len(part), 0] = part
    out[len(part) :, 0] = 0
    place[1] = at + n
index = next(i for i, d in enumerate(sounddevice.query_devices()) if d["max_output_channels"])
with sounddevice.OutputStream(48000, 256, index, 1, "float32", callback=play):
    print("ready", flush=True)
    for line in sys.stdin:
        place[:] = [waves[int(line)], 0]
"""


class Singer:
    """A second program with a microphone cable into the product."""

    def __init__(self, jack, waves, folder):
        before = set(jack.ports().split())
        names = []
        for index, wave in enumerate(waves):
            names.append(str(folder / f"{index}.npy"))
            np.save(names[-1], wave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"
        mine = [name for name in set(jack.ports().split()) - before if "out_" in name]
        ins = [name for name in before if not name.startswith("system") and "in_" in name]
        assert len(mine) == 1 and ins
        self.cables = [(mine[0], target) for target in ins]
        for source, target in self.cables:
            jack._tool("jack_disconnect", "system:capture_1", target)
            jack._tool("jack_disconnect", "system:capture_2", target)
            jack.connect(source, target)

    def sing(self, index):
        self.process.stdin.write(f"{index}\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
