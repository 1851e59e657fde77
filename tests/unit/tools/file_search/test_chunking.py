"""Chunks: where they begin and end, what is indexed with them."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_assistants.tools.file_search.chunking.chunking import CHUNK_TOKENS, Piece, Sizes, chunk
from local_assistants.tools.file_search.chunking.tokens import Tokenizer
from local_assistants.tools.file_search.chunking.tokens import pieces as cut_pieces
from local_assistants.tools.file_search.parsing import markdown
from local_assistants.tools.file_search.parsing.documents import (
    LONGEST_TITLE,
    Document,
    Heading,
    Page,
)

WORDS = [
    "Sales",
    "rose.",
    "by",
    "5%",
    "größer",
    "😀",
    "U.S.",
    "end!\n",
    "\n\n",
    "  ",
    "x" * 60,
    "\t",
]
texts = st.lists(st.sampled_from(WORDS), max_size=400).map(" ".join) | st.text(max_size=2000)
pages = st.lists(texts, min_size=1, max_size=4)


def sizes_of(tokens: int, share: float) -> Sizes:
    """Chunks of `tokens`, of which a share may repeat."""
    return Sizes(tokens, int(tokens * share))


sizes = st.builds(sizes_of, st.integers(8, 300), st.floats(0, 0.5))


@given(pages=pages, sizes=sizes)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_chunks_cover_each_page(pages: list[str], sizes: Sizes, tokenizer: Tokenizer) -> None:
    """Whatever the text, chunks go forward, stay inside a page, leave out nothing and are not too long."""
    document = Document.of_pages(Page(number, text) for number, text in enumerate(pages, start=1))
    pieces = chunk(document, tokenizer, sizes)

    for page in document.pages:
        of_page = [piece for piece in pieces if piece.page == page.number]
        assert (of_page[0].start, of_page[-1].end) == (page.start, page.end)
        for before, after in itertools.pairwise(of_page):
            assert before.start < after.start <= before.end < after.end
        for piece in of_page:
            spans = tokenizer.spans(document.text[piece.start : piece.end])
            # A cut inside a word makes more pieces of it than it had before.
            assert len(spans) <= sizes.tokens + 60
    assert pieces == sorted(pieces, key=lambda piece: piece.start)


def chunked(text: str, tokenizer: Tokenizer) -> list[Piece]:
    """The automatic chunks of a markdown text."""
    page = Page(None, text, list(markdown.headings(text)))
    return chunk(Document.of_pages([page]), tokenizer, Sizes())


def test_a_short_text_is_one_chunk(tokenizer: Tokenizer) -> None:
    """What fits is not cut."""
    assert chunked("Short.", tokenizer) == [Piece(0, 6, None, "")]


def test_an_empty_document_has_no_chunks(tokenizer: Tokenizer) -> None:
    """No text, no chunk."""
    assert chunk(Document("", ()), tokenizer, Sizes()) == []


def test_chunks_begin_and_end_with_sentences(tokenizer: Tokenizer) -> None:
    """Prose is cut between sentences, and a chunk repeats the last sentences of the one before."""
    text = " ".join(f"This is sentence number {number} of the text." for number in range(100))
    pieces = chunked(text, tokenizer)

    assert len(pieces) > 3
    assert all(text[piece.start : piece.end].startswith("This") for piece in pieces)
    assert all(text[piece.start : piece.end].rstrip().endswith(".") for piece in pieces)
    for before, after in itertools.pairwise(pieces):
        overlap = tokenizer.count(text[after.start : before.end])
        assert 0 < overlap <= 60
    assert max(tokenizer.count(text[p.start : p.end]) for p in pieces) <= CHUNK_TOKENS


def test_lines_of_a_table_are_not_cut(tokenizer: Tokenizer) -> None:
    """Where there are no sentences, chunks begin with lines."""
    text = "\n".join(f"Row {number}  {number * 37}  {number * 91}" for number in range(200))
    pieces = chunked(text, tokenizer)

    assert len(pieces) > 3
    assert all(text[piece.start :].startswith("Row ") for piece in pieces)


def test_a_heading_begins_a_chunk(tokenizer: Tokenizer) -> None:
    """A heading in the last third of a chunk begins the next one."""
    first = "# One\n\n" + "Some words here. " * 45
    pieces = chunked(first + "\n\n# Two\n\n" + "Other words there. " * 60, tokenizer)

    assert [piece.heading for piece in pieces][:1] == ["One"]
    assert len(first + "\n\n") in [piece.end for piece in pieces]


def test_heading_paths(tokenizer: Tokenizer) -> None:
    """A chunk carries the headings that it stands under, outermost first; code fences hold none."""
    body = "Words of the body. " * 60
    text = f"# Top\n\n{body}\n\n## Sub ##\n\n{body}\n```\n# no heading\n```\n{body}\n\n# Next\n\n{body}"
    headings = [piece.heading for piece in chunked(text, tokenizer)]

    assert sorted(set(headings), key=headings.index) == [
        "Top",
        "Top > Sub",
        "Next",
    ]


def test_a_path_is_of_bounded_length(tokenizer: Tokenizer) -> None:
    """However deep and long a document's headings are, a chunk's path is a line."""
    headings = [Heading.at(0, level, f"{level} " + "long title " * 100) for level in range(40)]
    document = Document.of_pages([Page(None, "text", headings)])

    path = chunk(document, tokenizer, Sizes())[0].heading

    assert len(path) <= 6 * (LONGEST_TITLE + 3)
    assert path.split(" > ")[-1].startswith("39 long title")


def test_a_title_that_says_the_same_twice_is_said_once(tokenizer: Tokenizer) -> None:
    """A page's title and its first heading are often the same."""
    headings = [Heading.at(0, 0, "Report"), Heading.at(0, 1, "Report"), Heading.at(0, 2, "Sales")]
    document = Document.of_pages([Page(None, "text", headings)])

    assert chunk(document, tokenizer, Sizes())[0].heading == "Report > Sales"


def test_a_heading_without_a_title_ends_sections(tokenizer: Tokenizer) -> None:
    """A slide without a title does not stand under the one before it."""
    first, second = [Heading(0, 1, "Results")], [Heading(0, 1, "")]
    document = Document.of_pages([Page(1, "words", first), Page(2, "words", second)])

    assert [piece.heading for piece in chunk(document, tokenizer, Sizes())] == ["Results", ""]


def test_a_section_begins_without_the_end_of_the_one_before(tokenizer: Tokenizer) -> None:
    """No overlap across a heading: the chunk that begins there stands under it alone."""
    text = "# One\n\n" + "Some words here. " * 45 + "\n\n# Two\n\n" + "Other words there. " * 60
    pieces = chunked(text, tokenizer)
    second = next(piece for piece in pieces if piece.heading == "Two")

    assert text[second.start :].startswith("# Two")
    assert second.start in [piece.end for piece in pieces]


@pytest.mark.parametrize(
    "text", ["x" * 50_000, " " * 1000 + "\n" * 30_000 + "end", "a\u0301" * 9000]
)
def test_texts_without_words_are_cut_too(text: str, tokenizer: Tokenizer) -> None:
    """A blob that the tokenizer takes for one word, or for nothing, makes chunks of bounded length."""
    pieces = chunked(text, tokenizer)

    assert max(piece.end - piece.start for piece in pieces) <= 40 * CHUNK_TOKENS


@pytest.mark.parametrize(
    "text",
    [
        ". " * 100_000,
        "." * 200_000,
        '\\"' * 100_000,
        "{" * 200_000,
        "[1,2]," * 40_000,
        ". (" * 70_000,
    ],
)
def test_texts_of_nothing_but_marks_make_a_bounded_number_of_chunks(
    text: str, tokenizer: Tokenizer
) -> None:
    """Where each mark is a token: a chunk begins 100 tokens after the one before it, or more."""
    pieces = chunked(text, tokenizer)

    assert 100 < len(pieces) <= len(text) / 100 + 1
    assert (pieces[0].start, pieces[-1].end) == (0, len(text))
    assert all(a.start < b.start <= a.end < b.end for a, b in itertools.pairwise(pieces))


def test_long_texts_are_cut_in_linear_time(tokenizer: Tokenizer) -> None:
    """Texts made to slow a pattern down do not: each takes well under a minute, the test's limit."""
    for evil in ("\n \n " * 100_000, ".\n" * 200_000, "# " * 200_000, "```\n~~~\n" * 50_000):
        assert chunked("a" + evil + "z", tokenizer)


def test_static_sizes_are_kept(tokenizer: Tokenizer) -> None:
    """A client's own sizes bound its chunks."""
    text = " ".join(f"This is sentence number {number} of the text." for number in range(400))
    document = Document.of_pages([Page(None, text)])
    pieces = chunk(document, tokenizer, Sizes(800, 0))
    counts = [tokenizer.count(text[piece.start : piece.end]) for piece in pieces]

    assert max(counts) <= 800
    assert min(counts[:-1]) > 500
    assert all(a.end == b.start for a, b in itertools.pairwise(pieces))


def test_windows_cover_a_text(tokenizer: Tokenizer) -> None:
    """A text longer than the embedder's window falls into even pieces that lose nothing."""
    text = "Sales of 3,226.8 größer as before 😀. " * 50
    parts = cut_pieces(tokenizer, text, 100)

    assert "".join(parts) == text
    assert max(tokenizer.count(part) for part in parts) <= 101
    assert min(tokenizer.count(part) for part in parts) > 70
