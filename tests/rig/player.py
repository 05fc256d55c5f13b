"""A controller as a second program: JACK MIDI ports of its own, played by lines on its standard input."""

from __future__ import annotations

import subprocess
import sys

# One line in is so many times one message out; what lights it is sent, it prints.
PROGRAM = """
import sys, rtmidi
name = sys.argv[1]
out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=name); out.open_virtual_port("keys")
back = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name=name); back.open_virtual_port("lights")
back.set_callback(lambda event, data: print(*event[0], flush=True))
print("ready", flush=True)
for line in sys.stdin:
    words = [int(word) for word in line.split()]
    for _ in range(words[0]):
        out.send_message(words[1:])
"""


class Player:
    """name: of its JACK client."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.read() == "ready"

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def send(self, *data: int, times: int = 1) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, (times, *data))) + "\n")
        self.process.stdin.flush()

    def unplug(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
