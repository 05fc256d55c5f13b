"""Whether the microphone is good for a hum: it is there, it is not silent, it does not clip; said once each.

Thread: the owner's, of the audio server's handle.
"""

from __future__ import annotations

from collections.abc import Callable

from descant.host.edge.audio_server import AudioServer
from descant.host.errors import HumError

NOTHING_SECONDS = 2.5  # without a sound from the microphone, and it is said
CLIPPED = 8  # samples at full scale that are said


class Microphone:
    """audio: whose input it is. say: takes a line for the performer."""

    def __init__(self, audio: AudioServer, say: Callable[[str], object]) -> None:
        self._audio, self._say = audio, say
        self._warned: set[str] = set()
        self._clips = 0.0

    def need(self) -> None:
        """Raises HumError where the device that plays has no input."""
        if self._audio.device and not self._audio.inputs:
            raise HumError(
                f"{self._audio.device} has no input",
                "the music goes on",
                "choose a device with a microphone (descant devices)",
            )

    def begin(self) -> None:
        """Another recording: whatever is wrong is said again."""
        self._warned = set()
        self._clips = self._clipped()

    def watch(self) -> None:
        """A microphone that is silent or too loud is said, once a recording."""
        quiet = self._audio.memory.quiet / self._audio.rate
        if quiet > NOTHING_SECONDS and "silent" not in self._warned:
            self._warned.add("silent")
            self._say(
                "The microphone is silent. The music goes on. Look at its cable, its switch and the device."
            )
        if self._clipped() - self._clips >= CLIPPED and "clipped" not in self._warned:
            self._warned.add("clipped")
            self._say("The microphone is too loud: it clips. It is recorded all the same. Turn it down.")

    def _clipped(self) -> float:
        return float(self._audio.memory.levels[0, :, 2].max())
