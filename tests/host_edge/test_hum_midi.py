"""The notes of a hum as MIDI: what is written is read back, and a take is exported by the command."""

import mido
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.edge import hum_words as words
from descant.host.edge.hum_midi import TICKS, write_midi
from descant.host.edge.hum_process import keep
from descant.host.edge.take_recorder import About, TakeRecorder
from descant.host.edge.take_store import TakeStore
from descant.host.edge.takes_command import export
from descant.host.errors import TakeError
from descant.host.hum_take import line_of
from descant.host.keys import ALL
from descant.host.pitch import Note
from tools.hum_synth import hum, random_melody

NOTES = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.floats(0.05, 2.0), st.integers(0, 127), st.integers(1, 127)),
    max_size=20,
)


def read(path):
    """(key, start, end in seconds) of each note, the tempo, the key."""
    file = mido.MidiFile(path)
    at, held, found, tempo, key = 0, {}, [], None, ""
    for message in file.tracks[0]:
        at += message.time
        if message.type == "set_tempo":
            tempo = mido.tempo2bpm(message.tempo)
        elif message.type == "key_signature":
            key = message.key
        elif message.type == "note_on":
            held[message.note] = at
        elif message.type == "note_off":
            found.append((message.note, held.pop(message.note), at))
    assert not held
    return [(note, *(tick * 60 / tempo / TICKS for tick in ticks)) for note, *ticks in found], tempo, key


@given(NOTES, st.floats(40, 300), st.sampled_from(ALL))
@settings(deadline=None, max_examples=30)
def test_what_is_written_is_read_back(tmp_path_factory, rows, tempo, key):
    at, notes = 0.0, []
    for gap, seconds, number, velocity in rows:
        notes.append(Note(at + gap, seconds, number, velocity))
        at += gap + seconds + 0.05
    path = tmp_path_factory.mktemp("midi") / "hum.mid"
    write_midi(path, notes, tempo, key.name, "a hum – “mine”")
    found, told, called = read(path)
    assert (
        abs(told - tempo) < 0.01 and called == key.name and [n for n, *_ in found] == [n.key for n in notes]
    )
    for (_, start, end), note in zip(found, notes):
        assert abs(start - note.start) < 0.01 and abs(end - note.start - note.seconds) < 0.01


def test_a_hum_that_was_kept_is_exported_as_notes_and_nothing_else_is(tmp_path):
    wanted = random_melody(2, 6.0, 100, 57)
    keep(words.Keep(1, str(tmp_path), 48000, words.wave_out(hum(wanted, 6.0, 48000, 2)), 100.0, "A"))
    keep(words.Keep(2, str(tmp_path), 48000, words.wave_out(np.zeros(48000, np.float32)), 0.0, ""))
    out = tmp_path / "out.mid"
    export(tmp_path, 1, out)
    found, tempo, key = read(out)
    assert [note for note, *_ in found] == [note.key for note in wanted]
    assert (round(tempo), key) == (100, "A")
    before = out.read_bytes()
    with pytest.raises(TakeError, match="is there already"):
        export(tmp_path, 1, out)
    with pytest.raises(TakeError, match="No notes are heard"):
        export(tmp_path, 2, tmp_path / "none.mid")
    with pytest.raises(TakeError, match="no take 9"):
        export(tmp_path, 9, tmp_path / "none.mid")
    soundfile.write(tmp_path / "long.wav", np.zeros(700 * 100, np.float32), 100)
    with TakeStore(tmp_path) as store:
        (long,) = [take.number for take in store.find() if take.seconds > 600]
    with pytest.raises(TakeError, match="no hum"):
        export(tmp_path, long, tmp_path / "none.mid")
    assert out.read_bytes() == before and not (tmp_path / "none.mid").exists()


def test_a_take_of_music_knows_its_key(tmp_path):
    rate = 16000
    takes = TakeRecorder(tmp_path, rate, 2, 120.0, About("one"))
    scale = [
        Note(0.25 * i, 0.25, 60 + step) for i, step in enumerate([2, 4, 6, 7, 9, 11, 13, 14, 9, 6, 2, 2] * 3)
    ]
    wave = line_of(scale, 9 * rate, rate)
    for start in range(0, len(wave), 512):
        takes.heard(start, np.tile(wave[start : start + 512], (2, 1)))
    takes.close()
    with TakeStore(tmp_path) as store:
        (take,) = store.find()
        assert take.key in ("D", "Bm")
        assert store.find(take.key)
