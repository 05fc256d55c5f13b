"""The process that listens to hums, its tracker, and the keys of a terminal."""

import os
import time

import numpy as np
import pytest

from descant.host.controller import Binding, Do, check_binding
from descant.host.edge import hum_words as words
from descant.host.edge.audio_memory import AudioMemory, Layout
from descant.host.edge.hum_worker import HumWorker
from descant.host.edge.pitch_tracker import Trackers, trace_of
from descant.host.edge.take_store import TakeStore
from descant.host.edge.terminal_keys import TerminalKeys
from descant.host.pitch import Trace, notes_of
from tools.hum_synth import hum, random_melody

WANTED = random_melody(4, 6.0, 100, 65)
HUM = hum(WANTED, 6.0, 48000, 4)


def answers(worker, n):
    got, deadline = [], time.monotonic() + 60
    while len(got) < n and time.monotonic() < deadline:
        got += worker.turn()
        time.sleep(0.005)
    return got


def test_a_hum_is_traced_piece_by_piece_kept_and_judged_and_a_death_is_said(tmp_path):
    worker = HumWorker()
    try:
        pieces = np.array_split(HUM, 10)
        for index, piece in enumerate(pieces):
            worker.ask(words.Push(1, 48000, words.wave_out(piece), index == 9))
        trace = Trace.empty()
        for answer in answers(worker, 10):
            assert answer.number == 1 and answer.by == Trackers().name
            trace = trace + words.trace_in(answer)
        notes = notes_of(trace)
        assert [note.key for note in notes] == [note.key for note in WANTED]
        worker.ask(words.Judge(2, 48000, words.wave_out(HUM), words.notes_out(notes)))
        worker.ask(words.Keep(3, str(tmp_path), 48000, words.wave_out(HUM), 100.0, "F"))
        judged, kept = answers(worker, 2)
        assert judged.score > 0.7 > judged.chance
        with TakeStore(tmp_path) as store:
            take = store.get(kept.take)
            assert (take.tempo, take.key, take.seconds, take.prompt) == (100.0, "F", 6.0, "hum")
        (tmp_path / "file").write_bytes(b"")
        worker.ask(words.Keep(4, str(tmp_path / "file"), 48000, words.wave_out(HUM), 100.0, "F"))
        (failed,) = answers(worker, 1)
        assert isinstance(failed, words.Failed) and "cannot be kept" in failed.why
        pid = worker.pid
        os.kill(pid, 9)
        worker.ask(words.Push(5, 48000, words.wave_out(HUM), True))
        told = answers(worker, 1)[0]  # by the dead one or, had it died before that, the next
        assert told.number == 5
        worker.ask(words.Push(6, 48000, words.wave_out(HUM), True))
        assert [a.last for a in answers(worker, 1) if a.number == 6] == [True] and worker.pid != pid
    finally:
        worker.close()


def test_swift_f0_reads_the_same_notes():
    pytest.importorskip("swift_f0")
    trackers = Trackers()
    assert trackers.name == "swift-f0" and Trackers(swift=False).name == "autocorrelation"
    for wave, rate in ((HUM, 48000), (HUM[::3], 16000)):
        assert [n.key for n in notes_of(trace_of(wave, rate, trackers))] == [n.key for n in WANTED]
    assert not notes_of(trace_of(np.zeros(8000, np.float32), 16000, trackers))


def test_what_is_heard_beside_the_music_ends_where_nothing_more_is_put_and_the_input_is_kept_a_minute():
    memory = AudioMemory.made(Layout(1000, 2, 64, 1, 500))
    out = np.ones((2, 8), np.float32)
    assert not memory.take_aside(0, out) and out.all()
    memory.play_aside(10, np.full((2, 4), 0.5, np.float32))
    assert memory.take_aside(8, out) and out[0].tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0]
    assert not memory.take_aside(14, out)
    for at in [*range(0, 480, 8), *range(600, 904, 8)]:  # with a hole
        memory.note_heard(at, np.full((2, 8), at + 1, np.float32))
    heard = memory.heard(410, 490)[0]
    assert heard[:70].all() and not heard[70:190].any() and heard[190:].all() and heard[-1] == 897
    with pytest.raises(ValueError, match="not remembered"):
        memory.heard(300, 10)
    memory.close()


def test_keys_of_a_terminal_are_wishes_and_it_is_as_it_was_afterwards():
    import pty
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with TerminalKeys(theirs) as keys:
        assert keys.open and keys.pressed() == []
        os.write(ours, b"hu1\xff?")
        wishes, deadline = [], time.monotonic() + 10
        while len(wishes) < 3 and time.monotonic() < deadline:
            wishes += keys.pressed()
        assert wishes == [Do("hum arm"), Do("hum last"), Do("slot 1")]
    assert termios.tcgetattr(theirs) == before and keys.pressed() == []
    os.close(ours)
    os.close(theirs)
    with open(os.devnull) as nothing, TerminalKeys(nothing.fileno()) as keys:
        assert not keys.open and keys.pressed() == []


@pytest.mark.parametrize("do", ["hum arm", "hum last", "hum redo 2", "hum generate", "hum snap"])
def test_a_pad_may_be_bound_to_humming(do):
    check_binding(Binding("note 1", do))


@pytest.mark.parametrize("do", ["hum", "hum redo", "hum redo 0", "hum sing", "hum arm 2"])
def test_a_pad_may_not_be_bound_to_what_there_is_not(do):
    with pytest.raises(ValueError, match="hum ACTION"):
        check_binding(Binding("note 1", do))
