"""What the host's tests share: a tiny model of the real classes, presets, and a client in simulated time."""

import numpy as np
import pytest
import torch

from descant.host.engine import Engine
from descant.host.events import AudioOut, FaultOut, Heartbeat, MeterOut, PlanOut, ResumeOut, SessionHello
from descant.host.preset import ControllerRow, Preset, PromptSlot
from descant.model import tiny_model


@pytest.fixture(scope="session")
def model():
    torch.set_num_threads(1)
    return tiny_model()


@pytest.fixture(scope="session")
def presets():
    slots = (
        PromptSlot(text="calm jazz with piano", key=36, program=1),
        PromptSlot(text="driving techno with synth lead", key=37, program=2),
        PromptSlot(text="warm ambient with synth pad", key=38, transition="cut"),
        PromptSlot(text="gentle folk with flute", key=39, transition="fade"),
        PromptSlot(stop=True, key=40),
        PromptSlot(text="tight funk with trumpet", key=41, quantise="off"),
    )
    cc = {"1": ControllerRow("temperature", (0.2, 1.8)), "2": ControllerRow("guidance", (1.0, 6.0))}
    return {
        "pads": Preset(name="pads", prompts=slots, cc=cc, fade_ms=200),
        "keys": Preset(name="keys", prompts=slots[:2], keys="chords", quantise="off"),
        "free": Preset(name="free", prompts=slots, cc=cc, quantise="off", hum="now"),
    }


class Client:
    """A DAW in simulated time: tells its playhead block by block, and keeps what it would have played.

    heard: [C, total]; slices: how many slices of work the engine gets for each block.
    """

    def __init__(self, engine, number=1, seconds=4.0, slices=4, block=480, **hello):
        hello.setdefault("preset", "pads")
        self.hello = SessionHello(hello.pop("sample_rate", 48000), block, **hello)
        self.engine, self.number, self.block, self.slices = engine, number, block, slices
        self.total = round(seconds * self.hello.sample_rate)
        self.placed = np.zeros((self.hello.channels, self.total), np.float32)
        self.heard = np.zeros_like(self.placed)
        self.playhead = 0
        self.jumps = 0
        self.promised = 0  # samples before this may not change any more
        self.epoch = 0
        self.replaced = []  # where each later epoch began
        self.outputs = []
        self.welcome = engine.open(number, self.hello)
        self.commit = round(self.welcome.commit_ms * self.hello.sample_rate / 1000)
        self.beat()

    def of(self, kind):
        return [output for output in self.outputs if isinstance(output, kind)]

    @property
    def faults(self):
        return self.of(FaultOut)

    @property
    def plans(self):
        return self.of(PlanOut)

    @property
    def meters(self):
        return self.of(MeterOut)

    @property
    def resumes(self):
        return self.of(ResumeOut)

    def beat(self):
        beat = Heartbeat(self.playhead, self.playhead, 2 * 48000, jumps=self.jumps)
        self.take(self.engine.handle(self.number, beat))

    def seek(self, sample):
        """Go on playing elsewhere: what has come is void, what is heard there is heard anew."""
        self.playhead = self.promised = sample
        self.jumps += 1
        self.placed[:] = 0
        self.heard[:, sample:] = 0
        self.beat()

    def send(self, *events):
        for event in events:
            self.take(self.engine.handle(self.number, event))

    def work(self, slices):
        for _ in range(slices):
            for number, output in self.engine.work():
                if number == self.number:
                    self.take([output])

    def take(self, outputs):
        for output in outputs:
            self.outputs.append(output)
            if isinstance(output, AudioOut):
                assert output.epoch >= self.epoch
                if output.epoch > self.epoch:
                    assert output.at_sample >= self.promised, "inside the commit window"
                    self.replaced.append(output.at_sample)
                    self.placed[:, output.at_sample :] = 0
                self.epoch = output.epoch
                end = min(output.at_sample + output.wave.shape[1], self.total)
                if output.at_sample < end:
                    self.placed[:, output.at_sample : end] = output.wave[:, : end - output.at_sample]

    def run_to(self, sample):
        """Play on until the playhead is there."""
        while self.playhead < min(sample, self.total):
            self.work(self.slices)
            end = min(self.playhead + self.block, self.total, sample)
            self.heard[:, self.playhead : end] = self.placed[:, self.playhead : end]
            self.playhead = end
            self.promised = self.playhead + self.commit
            self.beat()


@pytest.fixture
def client(model, presets):
    def make(**arguments):
        engine = arguments.pop("engine", None) or Engine(model, presets)
        return Client(engine, **arguments)

    return make


def first_difference(a, b):
    """The first sample at which two waves differ, None if they are the same."""
    different = np.flatnonzero((a != b).any(axis=0))
    return int(different[0]) if len(different) else None
