"""Which key a hum is moved to: the one that the words of what plays name, or the one of the chords."""

from descant.host.edge.key_played import classes_played
from descant.host.edge.recall import Recall
from descant.host.keys import Key
from descant.host.preset import Preset, PromptSlot
from descant.host.trigger import OF_KEY
from descant.plugin_bridge import wire


def recall(prompts, **named):
    preset = Preset(name="one", prompts=prompts, **named)
    return Recall({"one": preset}, preset)


def test_the_words_of_what_plays_name_it_then_those_of_any_pad():
    pads = (PromptSlot(text="piano"), PromptSlot(text="strings in A minor"), PromptSlot(text="in D major"))
    memory = recall(pads, chords=("F", "Bb"))
    assert classes_played(memory) == Key(9, True).classes
    memory.playing = 2
    assert classes_played(memory) == Key(2).classes
    memory.note(wire.Prompt(slot=0, text="piano in E minor"))
    assert classes_played(memory) == Key(4, True).classes
    memory.note(wire.KeyPrompt(key=60, text="bells in F major"))
    memory.playing = OF_KEY + 60
    assert classes_played(memory) == Key(5).classes
    memory.playing = OF_KEY + 61  # a key whose words are gone
    assert classes_played(memory) == Key(9, True).classes


def test_where_no_words_name_it_the_chords_do():
    pads = (PromptSlot(text="piano"), PromptSlot(text="brass", chords=("D", "G", "A")))
    memory = recall(pads, chords=("C", "F", "G"))
    assert classes_played(memory) == Key(0).classes
    memory.playing = 1
    assert classes_played(memory) == Key(2).classes
    memory.playing = OF_KEY + 60
    assert classes_played(memory) == Key(0).classes


def test_there_may_be_none():
    assert classes_played(None) is None and classes_played(recall((PromptSlot(text="piano"),))) is None
