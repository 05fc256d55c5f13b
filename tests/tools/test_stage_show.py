"""The three minutes on stage: the script holds what it promises, and the report says what was heard."""

import numpy as np

from descant.host.controller import Binding, check_binding
from tools import stage_show
from tools.stage_show import KNOBS, PADS, PRESSES, RATE, draw, knobs, longest_silence, pads, report

SAID = "9 blocks, 1 xruns, 2 underruns (0 of our feeding), 0 restarts, 7 events of controllers, 4 loops"


def test_the_script_plays_pads_and_four_loops_and_moves_the_plane():
    for what in (*PADS.values(), *(f"parameter {name}" for name in KNOBS.values())):
        check_binding(Binding("note 0", what))
    pressed = [PADS.get(key, "pad") for _, key in PRESSES]
    assert {int(what.split()[1]) for what in pressed if what.startswith("loop")} == {1, 2, 3, 4}
    assert pressed.count("pad") >= 5 and len(set(pressed)) == len(PADS) + 1
    played = pads(180)
    assert sum(data[0] == 0x90 for _, data in played) == sum(data[0] == 0x80 for _, data in played)
    moved = knobs(180)
    assert {data[1] for _, data in moved} == set(KNOBS) and all(0 <= data[2] <= 127 for _, data in moved)
    assert max(at for at, _ in played + moved) < 180


def test_the_report_and_the_picture_tell_what_was_heard():
    wave = np.random.default_rng(1).normal(0, 0.1, (2, 3 * RATE)).astype(np.float32)
    wave[:, RATE : RATE + RATE // 2] = 0
    shown = stage_show.shown(3.0, wave, SAID)
    assert shown.underruns == 2 and shown.loops == 4 and abs(longest_silence(wave) - 0.5) < 0.001
    assert "2 underruns (0 of feeding)" in report(shown) and "longest silence 0.50 s" in report(shown)
    assert len(draw(shown).axes) == 3
