"""Code is shown while the JSON around it is still being written."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_assistants.engine.partial_json import StringField


def read(*fragments: str) -> str:
    """The value of "code" as the fragments show it."""
    field = StringField("code")
    return "".join(field.feed(fragment) for fragment in fragments)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    """A text, a JSON object that holds it under "code", and that object in fragments."""
    text = draw(st.text(max_size=40))
    others = draw(st.dictionaries(st.sampled_from(["a", "z", "lang"]), st.integers(), max_size=2))
    written = json.dumps(
        others | {"code": text},
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 2])),
    )
    places = sorted(draw(st.lists(st.integers(0, len(written)), max_size=10)))
    edges = [0, *places, len(written)]
    return text, written, [written[a:b] for a, b in pairwise(edges)]


@given(documents())
def test_any_text_is_read_back_from_any_fragments(document: tuple[str, str, list[str]]) -> None:
    """As the JSON says it, one character at a time too."""
    text, written, fragments = document

    assert text == read(*fragments)
    assert text == read(*written)


@given(documents())
def test_what_is_shown_is_never_taken_back(document: tuple[str, str, list[str]]) -> None:
    """After each fragment the shown text is a beginning of the whole."""
    text, _, fragments = document
    for count in range(len(fragments)):
        assert text.startswith(read(*fragments[:count]))


@given(st.lists(st.text(alphabet='{}[]":\\u d8\n\x00code0123abDC😀', max_size=12), max_size=8))
def test_garbage_never_raises(fragments: list[str]) -> None:
    """A model may write anything; the preview is then just poor."""
    assert isinstance(read('{"code": "', *fragments), str)
    assert isinstance(read(*fragments), str)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('{"code": "1+1"}', "1+1"),
        ('{"code"  :\n "x"}', "x"),
        ('{"lang": "code", "code": "y"}', "y"),
        ('{"code": "a", "code": "b"}', "a"),
        ('{"code": "print(\\"hi\\")\\n"}', 'print("hi")\n'),
        ('{"code": "\\ud83d\\ude00"}', "😀"),
        ('{"code": "\\ud83dx"}', "\N{REPLACEMENT CHARACTER}x"),
        ('{"code": "bad \\q escape"}', "bad \\q escape"),
        ('{"code": 5}', ""),
        ('{"other": "x"}', ""),
        ('{"code": "cut off', "cut off"),
        ("print(1)", ""),
    ],
)
def test_examples(written: str, expected: str) -> None:
    """Escapes, odd spacing, half characters, JSON that is none."""
    assert expected == read(written)
    assert expected == read(*written)


def test_it_shows_as_much_as_is_certain() -> None:
    """Half an escape waits for its other half, plain text does not wait."""
    field = StringField("code")

    assert ["", "ab", "", "\n", "\\", "c"] == [
        field.feed(fragment) for fragment in ('{"code": "', "ab", "\\", "n", "\\\\", 'c"')
    ]
    assert "" == field.feed(', "more": "x"}')
