"""The plugin as DAWs load it: our own CLAP host, and the core under stress; `process` allocates nothing."""

from __future__ import annotations

import re
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


def own_leaks(report: str) -> list[str]:
    """The leaks in LeakSanitizer's report, save those of libzmq's own threads.

    libzmq 4.3.4 now and then loses the buffer of a message that arrives while its socket is closed: in its
    I/O thread, whose stack has no frame but its own. Debian's library has no names to suppress it by, and a
    rule for the whole library would hide what we fail to close, whose stack begins in ours.
    """
    blocks = [block for block in report.split("\n\n") if " leak of " in block]
    return [block for block in blocks if not _of_libzmqs_thread(block)]


def _of_libzmqs_thread(block: str) -> bool:
    frames = re.findall(r"^ +#\d+ .*$", block, re.MULTILINE)
    inner = [frame for frame in frames[1:] if "libzmq.so" not in frame]  # [0]: malloc or new
    ends = ("start_thread", "clone")
    return len(inner) < len(frames) - 1 and all(any(end in frame for end in ends) for frame in inner)


LEAK = """Direct leak of 18160 byte(s) in 1 object(s) allocated from:
    #0 0x7f in __interceptor_malloc ../../asan_malloc_linux.cpp:69
    #1 0x7f  (/lib/x86_64-linux-gnu/libzmq.so.5+0x83a3f)
    #2 0x7f {caller}
    #3 0x7f in start_thread nptl/pthread_create.c:442
    #4 0x7f in clone3 ../sysdeps/unix/sysv/linux/x86_64/clone3.S:81"""


@pytest.mark.parametrize(
    ("caller", "own"),
    [
        ("(/lib/x86_64-linux-gnu/libzmq.so.5+0x40d2c)", False),
        ("in descant::Dealer::receive(std::vector<zmq::message_t>&) dealer.cpp:70", True),
    ],
)
def test_a_leak_is_ours_if_any_frame_is(caller, own):
    report = f"==1==ERROR: LeakSanitizer: detected memory leaks\n\n{LEAK.format(caller=caller)}\n\nSUMMARY: 1"
    assert bool(own_leaks(report)) == own


@pytest.mark.slow
def test_the_core_under_stress_is_clean_to_the_address_sanitizer(serving, tmp_path):
    folder = build(tmp_path, "-DDESCANT_PLUGINS=OFF", "-DDESCANT_SANITIZE=address", target="stress")
    options = "exitcode=66:fast_unwind_on_malloc=0"  # whole stacks, through libraries without frame pointers
    done = serving.ran(folder / "rig" / "stress", 15, 5, DESCANT_PATIENCE="0.05", ASAN_OPTIONS=options)
    errors = re.findall(r"ERROR: (\w+)", done.stderr)
    if errors or done.returncode:
        assert (errors, done.returncode) == (["LeakSanitizer"], 66), done.stderr[-3000:]
        assert not own_leaks(done.stderr), done.stderr[-3000:]


@pytest.mark.slow
def test_the_core_under_stress_is_clean_to_the_thread_sanitizer(serving, tmp_path):
    folder = build(tmp_path, "-DDESCANT_PLUGINS=OFF", "-DDESCANT_SANITIZE=thread", target="stress")
    options = f"suppressions={HERE / 'tsan.supp'} exitcode=66"
    serving.run(folder / "rig" / "stress", 15, 5, DESCANT_PATIENCE="0.05", TSAN_OPTIONS=options)
