"""Places in TOML: every key and value of a text that tomllib has read is found where it is written."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descant.host.toml_places import Place, place_of

TEXT = '''# a comment with key = 1
name = "a # no comment" # one
"quoted key".'b c'.d = [1, "two, ]", { x = 1, y = ["}", """
three "quotes" """] },
  # between
  3 , ]
[cc]
1 = { parameter = "top_p", range = [0, 1] }
when = 1979-05-27 07:32:00
[cc.2] # later
range=[0.5,2]
[[prompts]]
text = \'\'\'it's\'\'\'
[[prompts]]
text = "b"
deep.er = true
[prompts.sub]
k = "\\u00e9\\""
[[prompts.rows]]
a = 1
[[prompts.rows]]
a = 2
[[prompts]]
[[prompts.rows]]
a = 3
'''


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        (("name",), True, (2, 1)),
        (("name",), False, (2, 8)),
        (("quoted key", "b c", "d"), True, (3, 20)),
        (("quoted key", "b c", "d"), False, (3, 24)),
        (("quoted key", "b c", "d", 1), False, (3, 28)),
        (("quoted key", "b c", "d", 2, "y"), True, (3, 47)),
        (("quoted key", "b c", "d", 2, "y", 1), False, (3, 57)),
        (("quoted key", "b c", "d", 3), False, (6, 3)),
        (("cc",), False, (7, 1)),
        (("cc", "1", "range", 1), False, (8, 40)),
        (("cc", "when"), False, (9, 8)),
        (("cc", "2", "range"), False, (11, 7)),
        (("cc", "2", "parameter"), False, (10, 1)),
        (("prompts",), False, (12, 1)),
        (("prompts", 0, "text"), False, (13, 8)),
        (("prompts", 1, "text"), True, (15, 1)),
        (("prompts", 1, "deep", "er"), True, (16, 6)),
        (("prompts", 1, "sub", "k"), False, (18, 5)),
        (("prompts", 1, "rows", 1, "a"), False, (22, 5)),
        (("prompts", 2, "rows", 0, "a"), False, (25, 5)),
        (("prompts", 2, "text"), False, (23, 1)),
    ],
)
def test_keys_and_values_are_found(path, key, place):
    assert place_of(TEXT, path, key) == Place(*place)


def test_what_is_nowhere_has_no_place():
    assert place_of(TEXT, ("tempo",)) is None and place_of("", ("tempo",)) is None


def written(value):
    """A value as TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[ " + ",".join(map(written, value)) + "]"
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text):
    return '"' + "".join(f"\\u{ord(sign):04x}" if sign in '"\\' else sign for sign in text) + '"'


words = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=5)
values = st.recursive(
    st.integers(0, 99) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


def leaves(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key), item
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))


@settings(max_examples=60)
@given(st.dictionaries(words, values, max_size=4), st.booleans())
def test_whatever_is_written_stands_where_it_is_found(tree, tables):
    lines = []
    for key, value in tree.items():
        if not (tables and isinstance(value, dict)):
            lines.append(f"{quoted(key)} = {written(value)} # {quoted(key)}")
    for key, value in tree.items():
        if tables and isinstance(value, dict):
            lines.append(f"[ {quoted(key)} ]")
            lines += [f"  {quoted(inner)}={written(item)}" for inner, item in value.items()]
    text = "\n".join(lines) + "\n"
    assert tomllib.loads(text) == tree
    for path, value in leaves(tree):
        line, column = place_of(text, path) or (0, 0)
        rest = text.split("\n")[line - 1][column - 1 :]
        header = tables and isinstance(value, dict) and len(path) == 1
        assert rest.startswith("[ " if header else written(value))
        if isinstance(path[-1], str) and not header:
            line, column = place_of(text, path, key=True) or (0, 0)
            assert text.split("\n")[line - 1][column - 1 :].startswith(quoted(path[-1]))
