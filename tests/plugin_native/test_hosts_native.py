"""The plugin as DAWs load it: our own CLAP host, and the core under stress; `process` allocates nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from descant.plugin_bridge import wire
from tests.plugin_bridge.small_host import ipc_endpoint
from tests.plugin_native.click_host import ClickHost, bar_lines, clicks
from tests.plugin_native.rig import HERE, build
from tests.plugin_native.serving import Serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    with ipc_endpoint() as endpoint:
        made = Serving(ClickHost(endpoint))
        yield made
        made.close()


def clap(built: Path, name: str = "descant") -> tuple[Path, Path]:
    return built / "rig" / "clap_host", built / "native" / "bin" / f"{name}.clap"


@pytest.mark.parametrize(("rate", "block", "tempo"), [(48000, 512, 140.0), (44100, 333, 97.3)])
def test_a_clap_host_hears_bars_on_its_bars_and_is_told_the_note(
    built, serving, tmp_path, rate, block, tempo
):
    out = tmp_path / "out.raw"
    counts = serving.run(*clap(built), "play", 5.5, rate, block, tempo, out)
    assert counts["link"] == 2 and counts["allocations"] == 0 and counts["foul"] == 0
    heard = np.fromfile(out, np.float32)
    lines = [line for line in bar_lines(rate, tempo, (4, 4), 0, len(heard)) if line > 0]
    heard_at = clicks(heard)
    assert len(lines) >= 2 and len(heard_at) >= 1  # on a busy machine a real-time host may come late for one
    assert all(min(abs(at - line) for line in lines) <= 1 for at in heard_at if at > rate), (heard_at, lines)
    (note,) = serving.host.of(wire.NoteOn)
    assert (note.midi_channel, note.key, note.velocity) == (2, 61, 100)
    assert abs(note.at_sample - 1.5 * 60 / tempo * rate) <= 1
    (control,) = serving.host.of(wire.Control)
    assert (control.midi_channel, control.controller, control.value) == (2, 74, 33)
    assert control.at_sample == note.at_sample


@pytest.mark.parametrize("name", ["descant", "descant-effect"])
def test_whatever_a_daw_does_nothing_breaks_and_nothing_is_allocated(built, serving, name):
    # It also presses "Bounce", in which the DAW waits; and this host never answers that.
    counts = serving.run(*clap(built, name), "abuse", 4, 7, DESCANT_PATIENCE="0.01")
    assert counts["blocks"] > 500
    assert (counts["allocations"], counts["foul"], counts["unlike"]) == (0, 0, 0)


def test_the_core_under_stress_allocates_nothing_in_process(built, serving):
    counts = serving.run(built / "rig" / "stress", 4, 1, DESCANT_PATIENCE="0.05")
    assert counts["counted"] == 1 and counts["received"] > 100 and counts["sounding"] > 1000
    assert (counts["allocations"], counts["wrong"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address"])
def test_the_core_under_stress_is_clean_to_a_sanitizer(serving, tmp_path, sanitizer):
    folder = build(tmp_path, "-DDESCANT_PLUGINS=OFF", f"-DDESCANT_SANITIZE={sanitizer}", target="stress")
    serving.run(
        folder / "rig" / "stress",
        15,
        5,
        DESCANT_PATIENCE="0.05",
        TSAN_OPTIONS=f"suppressions={HERE / 'tsan.supp'} exitcode=66",
        ASAN_OPTIONS="exitcode=66",
        LSAN_OPTIONS=f"suppressions={HERE / 'lsan.supp'}",
    )
