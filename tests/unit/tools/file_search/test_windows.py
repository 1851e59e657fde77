"""What the model gets to read of a passage: everything, in as few windows as it fits."""

from array import array

from local_assistants.tools.file_search.embedding.windows import windows
from tests.support.small_embedder import Words

WORDS = Words()


def _text(words: int, name: str = "w") -> str:
    return " ".join(f"{name}{number}" for number in range(words))


def test_a_short_passage_is_one_window_under_its_heading() -> None:
    """The heading line stands above the text."""
    made = windows([("Ships > North", "The Aurora left."), ("", "No heading.")], WORDS, 40)

    assert ["Ships > North\nThe Aurora left.", "No heading."] == made.texts
    assert [1, 1] == made.shares


def test_the_heading_gets_what_the_text_leaves() -> None:
    """A chunk that nearly fills the model is still one window: its heading line is cut instead."""
    made = windows([(_text(40, "h"), _text(30))], WORDS, 45)

    assert [f"{_text(15, 'h')}\n{_text(30)}"] == made.texts


def test_a_long_text_is_read_to_its_end() -> None:
    """Every word is in a window, each window under the heading line, none longer than the model reads."""
    text = _text(200)
    made = windows([("Chapter One", text)], WORDS, 50)
    bodies = [window.removeprefix("Chapter One\n") for window in made.texts]

    assert text == "".join(bodies)
    assert all(window.startswith("Chapter One\n") for window in made.texts)
    assert max(WORDS.count(window) for window in made.texts) <= 50
    assert [len(bodies)] == made.shares


def test_a_prompt_stands_in_front_of_every_window() -> None:
    """And takes its room like everything else."""
    made = windows([("Title", _text(60))], WORDS, 40, "search document: ")

    assert all(window.startswith("search document: Title\n") for window in made.texts)
    assert max(WORDS.count(window) for window in made.texts) <= 40


def test_vectors_of_windows_become_those_of_passages() -> None:
    """One passage of one window keeps its vector; of several it is their mean, of length one."""
    made = windows([("", "short"), ("", _text(60))], WORDS, 40)
    east, north = (array("f", numbers).tobytes() for numbers in ([1.0, 0.0], [0.0, 1.0]))
    short, long = made.pooled([east, east, north])

    assert [1, 2] == made.shares
    assert east == short
    assert array("f", [0.5**0.5] * 2) == array("f", long)
