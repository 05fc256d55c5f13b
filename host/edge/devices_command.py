"""`descant devices`: the audio devices of this machine, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from descant.host.edge.audio_device import list_devices


def run() -> None:
    """Thread: main. Print the devices; having none is no error, a host needs none."""
    devices = list_devices()
    console = Console()
    if not devices:
        console.print("No audio device. A host needs none: the DAW has one, and render writes files.")
        return
    table = Table("", "device", "through", "in", "out", "Hz", "default", box=None)
    for device in devices:
        roles = [
            name
            for name, it_is in (("input", device.default_input), ("output", device.default_output))
            if it_is
        ]
        table.add_row(
            str(device.index),
            escape(device.name),
            device.interface,
            str(device.inputs),
            str(device.outputs),
            str(device.sample_rate),
            " ".join(roles),
        )
    console.print(table)
