"""Presets: what ships is sound, and every mistake is named with its place and what would be right."""

import re
import tracemalloc
from importlib import resources

import pytest

from descant.host.errors import PresetError
from descant.host.preset import PARAMETERS, Preset, find_preset, parse_preset
from descant.host.progression import Progression
from tools.train.composer import PITCH_NAMES
from tools.train.genres import GENRES, LEADS, SCALES

SLOT = '[[prompts]]\ntext = "jazz"\n'


def shipped():
    return sorted(
        entry.name for entry in resources.files("descant.presets").iterdir() if entry.name.endswith(".toml")
    )


@pytest.mark.parametrize("name", shipped())
def test_shipped_presets_are_sound(name):
    preset = parse_preset((resources.files("descant.presets") / name).read_text("utf-8"), name)
    assert preset.name == name.removesuffix(".toml") and preset.description
    assert len(preset.prompts) >= 5 and sum(row.stop for row in preset.prompts) == 1
    assert all(
        row.key is not None and preset.slot_of_key(row.key) == slot for slot, row in enumerate(preset.prompts)
    )


def in_key(text):
    """The pitch classes of the key that a prompt names."""
    name, scale = re.search(r" in ([A-G](?: sharp| flat)?) (\w+)(?: in three)?$", text).groups()
    return {(PITCH_NAMES.index(name) + step) % 12 for step in SCALES[scale]}


@pytest.mark.parametrize("name", shipped())
def test_shipped_music_stays_in_one_key_and_moves(name):
    """All prompts of a preset share their seven notes, and so do their chords, of which there are several."""
    preset = parse_preset((resources.files("descant.presets") / name).read_text("utf-8"), name)
    played = [(slot, row) for slot, row in enumerate(preset.prompts) if not row.stop]
    keys = {frozenset(in_key(row.text)) for _, row in played}
    assert len(keys) == 1
    if preset.name in ("daybreak", "first-light"):
        assert keys == {frozenset({0, 2, 4, 5, 7, 9, 11})}
    for slot, row in played:
        progression = preset.progression_of(slot)
        assert progression is not None and len(set(progression.chords)) > 1, row.text
        assert set().union(*progression.chords) <= in_key(row.text), row.text


@pytest.mark.parametrize("name", shipped())
def test_shipped_prompts_use_the_words_the_model_was_taught(name):
    preset = parse_preset((resources.files("descant.presets") / name).read_text("utf-8"), name)
    moods = {f"{mood} {genre.name}" for genre in GENRES for mood in genre.moods}
    parts = {row[1] for family in LEADS.values() for row in family} | {"drums", "brushes"}
    parts |= {part for genre in GENRES for _, part in (*genre.chords, *genre.basses)}
    for row in preset.prompts:
        if row.stop:
            continue
        start, rest = row.text.split(" with ")
        instruments, tempo = re.fullmatch(r"(.+?)(?: at (\d+) bpm)? in .+", rest).groups()
        words = set(re.split(r", | and ", instruments))
        assert start in moods and words <= parts, row.text
        assert tempo is None or int(tempo) == preset.tempo, row.text
        assert row.text.endswith(" in three") == (preset.numerator == 3), row.text


def test_a_slot_may_have_chords_of_its_own():
    text = (
        'chords = ["C", "Am"]\nbars_per_chord = 2\n'
        + SLOT
        + SLOT
        + 'chords = ["F#m7"]\n'
        + SLOT
        + "bars_per_chord = 8\n"
        + SLOT
        + "chords = []\n"
        + "[[prompts]]\nstop = true\n"
    )
    preset = parse_preset(text)
    both = ((0, 4, 7), (0, 4, 9))
    assert [preset.progression_of(slot) for slot in range(4)] == [
        Progression(both, 2),
        Progression(((1, 4, 6, 9),), 2),
        Progression(both, 8),
        None,
    ]
    assert parse_preset(SLOT).progression_of(0) is None


def test_at_least_twenty_four_presets_ship():
    assert len(shipped()) >= 24


def test_defaults_and_bindings():
    preset = parse_preset(
        SLOT + 'key = 40\nprogram = 3\n[cc.7]\nparameter = "guidance"\nrange = [6, 1]', "a/my-set.toml"
    )
    assert preset.name == "my-set" and preset.tempo == 120 and preset.quantise == "bar"
    assert preset.slot_of_key(40) == 0 and preset.slot_of_key(41) is None and preset.slot_of_program(3) == 0
    assert preset.cc["7"].value(0) == 6 and preset.cc["7"].value(127) == 1


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("tempo = 90\nfoo = 1\n" + SLOT, "line 2, column 1", "fields here: name, description, tempo"),
        ("tempo = 5\n" + SLOT, "line 1, column 9", "allowed: a number 20..400"),
        ("tempo = nan\n" + SLOT, "line 1, column 9", "allowed: a number 20..400"),
        ('tempo = "fast"\n' + SLOT, "line 1, column 9", "float"),
        ('quantise = "bars"\n' + SLOT, "line 1, column 12", '"2 bars"'),
        ('transition = "jump"\n' + SLOT, "line 1, column 14", '"cut", "fade", "morph"'),
        (SLOT + "key = 200\n", "line 3, column 7", "127"),
        (SLOT + SLOT + "kee = 20\n", "line 5, column 1", "fields here: text, key, program"),
        (SLOT + "key = 3\n" + SLOT + "key = 3\n", "line 6, column 7", "bound to two prompts"),
        (SLOT + "stop = true\n", "line 2, column 8", "stop"),
        ('[[prompts]]\ntext = " "\n', "line 2, column 8", "no text"),
        ('[[prompts]]\ntext = "' + "x" * 2001 + '"\n', "line 2, column 8", "2000"),
        (SLOT + '[cc.1]\nparameter = "cutoff"\nrange = [0, 1]\n', "line 4, column 13", ", ".join(PARAMETERS)),
        (SLOT + '[cc.1]\nparameter = "top_p"\nrange = [0, 5]\n', "line 5, column 13", "0..1"),
        (SLOT + '[cc.128]\nparameter = "top_p"\nrange = [0, 1]\n', "line 3, column 1", "0..127"),
        ("lead_ms = 100\ncommit_ms = 100\n" + SLOT, "line 2, column 13", "smaller than lead_ms"),
        ("tempo = \n" + SLOT, "line 1, column 9", "not TOML"),
        ("prompts = []\n", "line 1, column 11", "length >= 1"),
        ('name = "No Spaces!"\n' + SLOT, "line 1, column 8", "lower-case"),
        ('chords = ["C", "H"]\n' + SLOT, "line 1, column 16", "a root A..G, # or b if wanted"),
        ('chords = ["Cmin"]\n' + SLOT, "line 1, column 11", "m, 7, maj7, m7, dim, sus4, 5"),
        ('chords = ["C", 5]\n' + SLOT, "line 1, column 16", "maj7"),
        ('chords = "C"\n' + SLOT, "line 1, column 10", "maj7"),
        ("chords = [" + '"C",' * 65 + "]\n" + SLOT, "line 1, column 10", "at most 64"),
        ("bars_per_chord = 0\n" + SLOT, "line 1, column 18", "allowed: a whole number 1..8"),
        ("bars_per_chord = 9\n" + SLOT, "line 1, column 18", "allowed: a whole number 1..8"),
        ("bars_per_chord = 1.5\n" + SLOT, "line 1, column 18", "allowed: a whole number 1..8"),
        (SLOT + SLOT + 'chords = ["c"]\n', "line 5, column 11", "prompts[1].chords: no chord is named 'c'"),
        (SLOT + "bars_per_chord = 99\n", "line 3, column 18", "allowed: a whole number 1..8"),
        (SLOT + '[[prompts]]\nstop = true\nchords = ["C"]\n', "line 5, column 1", "a stop has no chords"),
        ("sampling = {temperature = 9.0}\n" + SLOT, "line 1, column 27", "2.0"),
        (SLOT + "[cc.7]\nparameter = 'top_k'\nrange = [1, 'x']\n", "line 5, column 13", "cc.7"),
        (SLOT + "[cc.7]\nrange = [1, 2]\n", "line 3, column 1", "parameter"),
        (SLOT + "[cc.wheel]\nparameter = 'x'\nrange = [0, 1]\n", "line 3, column 1", "[cc.74]"),
        (SLOT + 'bend = { parameter = "xy", range = [0] }\n', "line 3, column 1", "unknown field 'bend'"),
        ("temperature = 1.0\n" + SLOT, "line 1, column 1", "it belongs into [sampling]; fields"),
        (SLOT + "tempo = 100\n", "line 3, column 1", "it belongs into the first lines, above all tables"),
        ("Tempo = 100\n" + SLOT, "line 1, column 1", 'did you mean "tempo"?'),
        ('transition = "Fades"\n' + SLOT, "line 1, column 14", 'did you mean "fade"?'),
        (
            SLOT + '[cc.1]\nparameter = "temprature"\nrange = [0, 1]\n',
            "line 4",
            'did you mean "temperature"?',
        ),
        ('name = "unended\n' + SLOT, "line 1, column 16", "not TOML"),
        ("chords = [", "line 1, column 11", "not TOML"),
    ],
)
def test_every_mistake_is_named(text, place, hint):
    with pytest.raises(PresetError) as caught:
        parse_preset(text, "my.toml")
    message = str(caught.value)
    assert len(message.splitlines()) == 3
    assert message.startswith(f"my.toml, {place}") and hint in message, message


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "cc = " + "{a = " * 50_000,
        "[a" + ".b" * 100_000 + "]\nx = 1\n",
        "cc." + ".".join("a" * 100_000) + " = 1\n",
        "cc = {" + "'a' . " * 50_000 + "b = 1}\n",
        "tempo = " + "9" * 5000 + "\n",
        SLOT + "key = " + "9" * 300 + "\n",
    ],
    ids=["arrays", "tables", "a table's name", "a key", "a key within", "digits", "fewer digits"],
)
def test_text_made_to_exhaust_a_parser_is_refused_at_once(text):
    tracemalloc.start()
    try:
        with pytest.raises(PresetError, match="my"):
            parse_preset(text, "my.toml")
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    many = "...".join(["Slow", *["slower"] * 100])
    assert parse_preset(f'[[prompts]]\ntext = "{many}, a.b.c, {{1.5}}"\n').prompts[0].text.startswith("Slow")


def test_huge_and_binary_text():
    for text in ("x" * 2_000_000, "\0\1\2", '[[prompts]]\ntext = "a"\n' * 200):
        with pytest.raises(PresetError):
            parse_preset(text, "my.toml")


def test_find_preset():
    presets = {"a": Preset(name="a"), "b": Preset(name="b")}
    assert find_preset(presets, "").name == "a" and find_preset(presets, "b").name == "b"
    with pytest.raises(PresetError, match="a, b"):
        find_preset(presets, "c")
    with pytest.raises(PresetError, match='did you mean "jazz-club"'):
        find_preset({"jazz-club": Preset(name="jazz-club")}, "Jazz club")
    with pytest.raises(PresetError):
        find_preset({}, "")


def test_the_pitch_bend_wheel_moves_what_the_preset_says():
    from descant.host.events import Bend
    from descant.host.trigger import SetParameter, action_of

    text = 'bend = { parameter = "temperature", range = [0.5, 1.5] }\n[[prompts]]\ntext = "music"\n'
    preset = parse_preset(text)
    values = [action_of(Bend(0, value), preset) for value in (0, 16383)]
    assert values == [SetParameter("temperature", 0.5), SetParameter("temperature", 1.5)]
    assert action_of(Bend(0, 0), parse_preset('[[prompts]]\ntext = "music"\n')) is None
    for wrong in ("warmth", "top_p"):
        with pytest.raises(PresetError):
            parse_preset(text.replace("temperature", wrong))
