"""The procedural composer: same seed same piece, true captions, labels that agree with the notes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.train.composer import DRUM_CHANNEL, compose
from tools.train.genres import GENRES, LEADS, SCALES
from tools.train.render import PIECE_SECONDS, labels_of


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**7))
def test_a_piece_is_whole_and_its_captions_true(seed: int) -> None:
    piece = compose(seed, PIECE_SECONDS)
    assert piece == compose(seed, PIECE_SECONDS)
    assert piece.seconds >= PIECE_SECONDS
    assert piece.notes and all(0 <= n.key <= 127 and n.length > 0 and n.start >= 0 for n in piece.notes)
    assert len(piece.captions) == 6
    assert f"{piece.tempo:.0f} bpm" in piece.captions[0]
    assert all(piece.genre in caption for caption in piece.captions[:4])
    if piece.family:
        names = [name for program, name, _, _ in LEADS[piece.family] if program == piece.programs[0]]
        assert len(names) == 1 and all(names[0] in caption for caption in piece.captions)
    else:
        assert not piece.melody


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**7))
def test_labels_are_the_notes(seed: int) -> None:
    piece = compose(seed, PIECE_SECONDS)
    melody, chords, beat = labels_of(piece, 1536)
    scale = {(piece.key + s) % 12 for s in SCALES[piece.scale]}
    assert set(np.unique(melody[melody >= 0]).tolist()) <= scale
    for note in piece.melody[:20]:
        middle = round((note.start + note.length / 2) * 60.0 / piece.tempo * 50)
        if middle < 1536:
            assert melody[middle] == note.key % 12
    for start, length, classes in piece.chords[:8]:
        middle = round((start + length / 2) * 60.0 / piece.tempo * 50)
        if middle < 1536:
            assert {c for c in range(12) if chords[middle] >> c & 1} == set(classes)
    assert beat[50] == pytest.approx(piece.tempo / 60.0, rel=1e-5)


def test_pitched_parts_keep_to_the_chord() -> None:
    for seed in range(60):
        piece = compose(seed, PIECE_SECONDS)
        for note in piece.notes:
            if note.channel == 1:
                held = [c for s, w, c in piece.chords if s - 1e-6 <= note.start < s + w]
                assert note.key % 12 in held[0]


def test_every_genre_and_family_is_composed() -> None:
    pieces = [compose(seed, 8.0) for seed in range(600)]
    assert {p.genre for p in pieces} == {g.name for g in GENRES}
    assert {p.family for p in pieces} == {*LEADS, ""}
    assert any(n.channel == DRUM_CHANNEL for p in pieces for n in p.notes)
