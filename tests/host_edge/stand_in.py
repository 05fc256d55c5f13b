"""An engine of sines for the tests of supervision: the real work loop around something that starts in no
time.

`python -m tests.host_edge.stand_in` is what an engine process runs here; `... host ENDPOINT` is a host
around it. A note on key 1 raises in the work loop, key 2 is slow for 0.4 s, key 3 ends every engine that is
told of it.
"""

import os
import signal
import sys
import time

import msgspec
import numpy as np

from descant.host.edge.engine_process import EngineInfo
from descant.host.edge.host_command import log
from descant.host.edge.runner import main
from descant.host.edge.settings import EngineSettings, Timings
from descant.host.edge.supervisor import Supervisor
from descant.host.errors import HostError
from descant.host.events import AudioOut, Heartbeat, NoteOn, ResumeOut, SessionWelcome
from descant.plugin_bridge import BridgeServer

BLOCK = 960


class Sines:
    """Each session hears one continuous sine from its first note on; the snapshot is the next position."""

    def __init__(self):
        self.sessions = {}

    def open(self, session, hello):
        if hello.model not in ("", "sines"):
            raise HostError(f"no model {hello.model}", "the others play", "ask for sines")
        self.sessions[session] = {"next": None, "limit": 0, "channels": hello.channels, "epoch": 0}
        return SessionWelcome(
            session,
            hello.sample_rate,
            hello.block_size,
            hello.channels,
            "sines",
            "0" * 64,
            (),
            ("plain",),
            "plain",
            400,
            120,
        )

    def resume(self, session, snapshot):
        at, channels, epoch = msgspec.json.decode(snapshot)
        self.sessions[session] = {"next": at, "limit": 0, "channels": channels, "epoch": epoch + 1}

    def close(self, session):
        self.sessions.pop(session, None)

    def handle(self, session, event, sequence=None):
        if session not in self.sessions:
            return []
        state = self.sessions[session]
        if isinstance(event, Heartbeat):
            state["limit"] = event.playhead + min(event.free_samples, 19200)
            if state["next"] is not None:
                state["next"] = max(state["next"], event.playhead + 1024)
        elif isinstance(event, NoteOn):
            if event.key == 1:
                raise RuntimeError("a note nobody foresaw")
            if event.key == 2:
                time.sleep(0.4)
            if event.key == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            state["next"] = max(state["next"] or 0, event.at_sample + 1024)
        return []

    def wants_work(self):
        return any(s["next"] is not None and s["next"] + BLOCK <= s["limit"] for s in self.sessions.values())

    def work(self):
        for number, state in self.sessions.items():
            if state["next"] is not None and state["next"] + BLOCK <= state["limit"]:
                at = state["next"]
                state["next"] += BLOCK
                tone = 0.5 * np.sin(2 * np.pi * 100 * np.arange(at, at + BLOCK) / 48000)
                wave = np.tile(tone.astype(np.float32), (state["channels"], 1))
                snapshot = msgspec.json.encode((state["next"], state["channels"], state["epoch"]))
                out = [(number, AudioOut(at, state["epoch"], wave))]
                return [*out, (number, ResumeOut(state["next"], snapshot))] if at % 4800 < BLOCK else out
        return []


def build(settings):
    if settings.model not in ("sines", "slow sines"):
        raise HostError("no such model", "nothing was started", "ask for sines")
    return Sines(), EngineInfo("sines", "0" * 64, 48000, 1, 0.0, 30.0 if "slow" in settings.model else 0.0)


def host(endpoint, model="sines", idle="inf"):
    timings = Timings(backoff=(0.0, 0.2, 0.4), hung=0.8, silent=1.0)
    supervisor = Supervisor(
        BridgeServer(endpoint),
        EngineSettings(model),
        timings,
        log,
        lambda: print("ready", flush=True),
        runner=__spec__.name,
        idle=float(idle),
    )
    signal.signal(signal.SIGTERM, lambda *_: supervisor.request_stop())
    supervisor.run()


if __name__ == "__main__":
    if sys.argv[1:2] == ["host"]:
        host(*sys.argv[2:])
    else:
        sys.exit(main(build))
