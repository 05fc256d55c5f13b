"""The page of controllers without Qt: its rows, where its cursor goes, what learning asks for in words."""

import subprocess
import sys

from descant.host.desktop.lesson import NONE, asks, mode_of, name_of, place_after, rows_of, summary
from descant.host.edge import stage_words as words
from descant.host.functions import groups

GROUPS = groups(["calm jazz", "Stop"], 2)
PADS = words.Controls("MPD218:a", "pads", (words.Bound("note 36", "slot 1", "gate"),))
KEYS = words.Controls("keys:b")


def test_nothing_of_it_needs_qt():
    program = "import sys, descant.host.desktop.lesson; sys.exit('PySide6' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_cursor_goes_to_what_was_bound_just_now_and_else_it_stays():
    before = rows_of((PADS, KEYS))
    assert [row.kind for row in before] == ["port", "last", "bound", "port", "last"]
    more = words.Controls("MPD218:a", "pads", (*PADS.bindings, words.Bound("cc 9", "tap", "", True)))
    after = rows_of((more, KEYS))
    assert after[3].text == "learnt: cc 9  →  tap"
    assert place_after(before, 0, after) == 3
    assert place_after(after, 3, before) == 3 and place_after(after, 5, before) == 4
    assert place_after([], 0, after) == 0  # a controller that has just come is no news of learning
    assert place_after(rows_of((KEYS,)), 1, after) == 1 and place_after(after, 2, []) == 0


def test_what_is_to_be_done_is_said_in_the_words_it_was_chosen_by():
    armed = words.Lesson("loop 2 mute")
    assert mode_of(words.Lesson()) == "choose" and asks(words.Lesson(), GROUPS) == ""
    assert mode_of(armed) == "armed"
    assert asks(armed, GROUPS) == "Loop 2: Mute: now press the pad or turn the knob for it."
    asked = words.Lesson("tap", "note 36 of MPD218 does slot 1 already.")
    assert mode_of(asked) == "asked" and asks(asked, GROUPS) == asked.in_the_way
    names = [name_of(do, GROUPS) for do in ("slot 1", "parameter guidance", "tap", "hum arm", "loop 7 press")]
    assert names == [
        "Pad 1 · calm jazz",
        "Knob guidance",
        "Tap the tempo",
        "Arm: count in and record",
        "loop 7 press",
    ]


def test_what_there_is_is_summed_up():
    assert summary((), "") == NONE and summary((), "no system") == "no system"
    assert summary((PADS, KEYS), "") == "2 controllers, 1 bound, 0 learnt"
    assert summary((PADS,), "") == "1 controller, 1 bound, 0 learnt"
