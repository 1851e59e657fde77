"""Citation marks and file links become annotations, wherever the fragments are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_assistants.engine.annotations import Annotator, Piece, best_match
from local_assistants.engine.ports import Citation, MadeFile

CITATIONS = [
    Citation(
        1, "file-a", "annual.pdf", "The bank failed in 2009 with assets of 3.5 billion.", page=4
    ),
    Citation(2, "file-b", "日本.txt", "Tokyo has 14 million inhabitants."),
    Citation(12, "file-c", "c.md", "Unrelated words only."),
]
FILES = [
    MadeFile("/mnt/data/report.xlsx", "file-x"),
    MadeFile("/mnt/data/Ünï-cödé.csv", "file-u"),
    MadeFile("/mnt/data/my report (2) [1].csv", "file-s"),
    MadeFile("/mnt/data/my report", "file-m"),
]
FIRST = "【0:0†annual.pdf】"
SECOND = "【0:1†日本.txt】"
TWELFTH = "【0:11†c.md】"


def annotate(
    *fragments: str, closing: bool = False, known: bool = True
) -> tuple[Annotator, list[Piece]]:
    """The annotator after these fragments and all pieces it gave."""
    annotator = Annotator(CITATIONS if known else [], FILES if known else [], step=0)
    pieces = [piece for fragment in fragments for piece in annotator.feed(fragment)]
    pieces += annotator.close()
    if closing:
        pieces += annotator.closing_marks()
    return annotator, pieces


def shown(*fragments: str) -> str:
    """The value that a client ends up with."""
    return annotate(*fragments)[0].value


BITS = [
    "[1]", "[2]", "[12]", "[3]", "[1](http://x)", "a[1]", "[", "]", "【", "】", "【2†x】", "【1:0†annual.pdf】",
    "sandbox:/mnt/data/report.xlsx", "sandbox:/mnt/data/Ünï-cödé.csv", "sandbox:/mnt/data/none", "sandbox:",
    "sandbox:/mnt/data/my report (2) [1].csv", "sandbox:/mnt/data/my report", " (2) [1]", "%20",
    "(1)", "[1, 2]", "[passage 1]", "[annual.pdf, page 4]", "Source: annual.pdf", ", page 4", "**Source:** c.md",
    "(see ", "[annual", "```", "[1-2]", " and ", ": ", "sources: ", "c.md", "page", "source", "p", ",", "values", "*",
    "(", ")", ".", " ", "\n", "s", "sa", "😀", "e\u0301", "1", "word ", "[12", "[[", "†", '"', "`",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(BITS) | st.text(max_size=3), max_size=14).map("".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text and the same text in fragments."""
    text = draw(TEXTS)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *places, len(text)]
    return text, [text[a:b] for a, b in pairwise(edges)]


@given(cut_texts())
def test_pieces_do_not_depend_on_the_cuts(cut: tuple[str, list[str]]) -> None:
    """Any split of a text gives the same value and the same annotations as the whole."""
    text, fragments = cut
    whole, _ = annotate(text)
    parts, _ = annotate(*fragments)

    assert (whole.value, whole.annotations) == (parts.value, parts.annotations)


@given(cut_texts(), st.booleans())
def test_offsets_point_at_the_marker(cut: tuple[str, list[str]], closing: bool) -> None:
    """value[start:end] == text for every annotation, in order, and markers do not overlap."""
    annotator, _ = annotate(*cut[1], closing=closing)
    end = 0
    for mark in annotator.annotations:
        assert mark.text == annotator.value[mark.start_index : mark.end_index]
        assert end <= mark.start_index < mark.end_index
        end = mark.end_index


@given(cut_texts(), st.booleans())
def test_pieces_join_to_the_value(cut: tuple[str, list[str]], closing: bool) -> None:
    """Nothing is lost, nothing is shown twice, and a marker is one piece of its own."""
    annotator, pieces = annotate(*cut[1], closing=closing)

    assert annotator.value == "".join(piece.value for piece in pieces)
    assert annotator.annotations == [p.annotation for p in pieces if p.annotation is not None]
    assert all(p.annotation.text == p.value for p in pieces if p.annotation is not None)


@given(TEXTS)
def test_without_sources_the_text_passes_as_it_is(text: str) -> None:
    """And at once: nothing is held back when nothing can be cited."""
    annotator = Annotator([], [], step=0)

    assert text == "".join(piece.value for piece in annotator.feed(text))
    assert [] == annotator.close() + annotator.closing_marks()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("It failed [1].", f"It failed {FIRST}."),
        ("It failed [1]", f"It failed {FIRST}"),
        ("Both [1][2] say so", f"Both {FIRST}{SECOND} say so"),
        ("Seen 【2†source】.", f"Seen {SECOND}."),
        ("Seen 【1:0†annual.pdf】.", f"Seen {FIRST}."),
        ("Seen 【12】", f"Seen {TWELFTH}"),
        ("😀 [2]😀", f"😀 {SECOND}😀"),
        ("unknown [3] and [99] stay", "unknown [3] and [99] stay"),
        ("a [1](https://example.org) link", "a [1](https://example.org) link"),
        ("values[1] is code", "values[1] is code"),
        ("[1234] is no mark", "[1234] is no mark"),
        ("[] [x] [1", "[] [x] [1"),
        ("【1 never closes", "【1 never closes"),
        ("Both [1, 2].", f"Both {FIRST}{SECOND}."),
        ("Both [1,2] [1;2] [1 and 2] [1-2]", " ".join(["Both", *[FIRST + SECOND] * 4])),
        ("One known [1, 3].", f"One known {FIRST}."),
        ("It failed [passage 1].", f"It failed {FIRST}."),
        ("It failed [Source: 1].", f"It failed {FIRST}."),
        ("It failed [^1].", f"It failed {FIRST}."),
        ("It failed (passages 1 and 2).", f"It failed {FIRST}{SECOND}."),
        ("It failed (see passage 1) early", f"It failed {FIRST} early"),
        ("It failed in 2009 (1).", f"It failed in 2009 {FIRST}."),
        ("It failed (1)", f"It failed {FIRST}"),
        ("It failed (1), twice", f"It failed {FIRST}, twice"),
        ("values[1].", f"values{FIRST}."),
        ("14%[2] of them", f"14%{SECOND} of them"),
        ("It failed [annual.pdf, page 4].", f"It failed {FIRST}."),
        ("It failed (Annual.pdf, p. 4).", f"It failed {FIRST}."),
        ("It failed [annual.pdf].", f"It failed {FIRST}."),
        ("It failed [1, page 4].", f"It failed {FIRST}."),
        ("It failed [1] annual.pdf, page 4", f"It failed {FIRST} annual.pdf, page 4"),
        ("It failed [1: annual.pdf, page 4].", f"It failed {FIRST}."),
        (
            "It failed.\nSource: annual.pdf, page 4",
            f"It failed.\nSource: annual.pdf, page 4 {FIRST}",
        ),
        ("**Source:** 日本.txt", f"**Source:** 日本.txt {SECOND}"),
        ("(1) first, (2) second", "(1) first, (2) second"),
        ("(1) It failed.\n(2) It rose.", "(1) It failed.\n(2) It rose."),
        ("see f(1) * 2", "see f(1) * 2"),
        ("of page 9 [annual.pdf, page 9]", "of page 9 [annual.pdf, page 9]"),
        ("[other.pdf, page 4] [note 1]", "[other.pdf, page 4] [note 1]"),
        ("`x = [1]` and [1]", f"`x = [1]` and {FIRST}"),
        ("```\nx = [1]\n```\n[1]", f"```\nx = [1]\n```\n{FIRST}"),
    ],
)
def test_citation_marks(written: str, expected: str) -> None:
    """Known numbers become markers; everything else stays text, however it is cut."""
    assert expected == shown(written)
    assert expected == shown(*written)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "written",
    ["[" + "source " * 200 + "x]", "(" * 2000, "[1" + ", 1" * 500 + " x]", "source: " * 500]
    + ["[1" + " and 2" * 500, "[" + "see: passage #" * 100, "【1" + ":†" * 1000],
)
def test_no_text_makes_the_search_for_marks_slow(written: str) -> None:
    """A model that repeats itself, or was told to, holds nobody up: these would take years if tried in every way."""
    assert shown(written).count("【0:") <= 500
    assert shown(written) == shown(*(written[at : at + 7] for at in range(0, len(written), 7)))


def test_a_citation_names_file_quote_and_page() -> None:
    """So that a client can show what was cited."""
    annotator, _ = annotate("It failed [1].")
    (mark,) = annotator.annotations
    assert mark.file_citation is not None
    assert ("file_citation", "file-a", 4) == (
        mark.type,
        mark.file_citation.file_id,
        mark.file_citation.page,
    )
    assert CITATIONS[0].quote == mark.file_citation.quote


@pytest.mark.parametrize(
    ("written", "file_id", "text"),
    [
        ("[report](sandbox:/mnt/data/report.xlsx)", "file-x", "sandbox:/mnt/data/report.xlsx"),
        ("See sandbox:/mnt/data/report.xlsx.", "file-x", "sandbox:/mnt/data/report.xlsx"),
        ("`sandbox:/mnt/data/report.xlsx`", "file-x", "sandbox:/mnt/data/report.xlsx"),
        ("sandbox:/mnt/data/Ünï-cödé.csv", "file-u", "sandbox:/mnt/data/Ünï-cödé.csv"),
        ("sandbox:/mnt/data/report.xlsx, and more", "file-x", "sandbox:/mnt/data/report.xlsx"),
        ("sandbox:/mnt/data/report.xlsx...", "file-x", "sandbox:/mnt/data/report.xlsx"),
        ("sandbox:/mnt/data/report.xlsx。", "file-x", "sandbox:/mnt/data/report.xlsx"),
        (
            "[r](sandbox:/mnt/data/my report (2) [1].csv)",
            "file-s",
            "sandbox:/mnt/data/my report (2) [1].csv",
        ),
        (
            "[r](sandbox:/mnt/data/my%20report%20%282%29%20%5B1%5D.csv)",
            "file-s",
            "sandbox:/mnt/data/my%20report%20%282%29%20%5B1%5D.csv",
        ),
        ("the sandbox:/mnt/data/my report is", "file-m", "sandbox:/mnt/data/my report"),
        (
            "[u](sandbox:/mnt/data/%C3%9Cn%C3%AF-c%C3%B6d%C3%A9.csv)",
            "file-u",
            "sandbox:/mnt/data/%C3%9Cn%C3%AF-c%C3%B6d%C3%A9.csv",
        ),
    ],
)
def test_links_to_made_files(written: str, file_id: str, text: str) -> None:
    """Only the URL is the marker; the text stays as written, however it is cut."""
    for fragments in ([written], list(written)):
        annotator, _ = annotate(*fragments)
        (mark,) = annotator.annotations
        assert written == annotator.value
        assert mark.file_path is not None
        assert ("file_path", file_id, text) == (mark.type, mark.file_path.file_id, mark.text)


@pytest.mark.parametrize(
    "written",
    [
        "sandbox:/mnt/data/other.csv",
        "sandbox:/mnt/data/",
        "sandbox:/mnt/data/report.xlsx.bak",
        "sandbox:/mnt/data/report.xlsx-old",
        "sandbox:/mnt/data/report.xlsx/etc",
        "sandbox:/mnt/data/report.xls",
        "sandbox:/etc/passwd",
        "/mnt/data/report.xlsx",
    ],
)
def test_links_to_other_files_stay_text(written: str) -> None:
    """Only what code has made is linked, by its whole name."""
    annotator, _ = annotate(written)

    assert (written, []) == (annotator.value, annotator.annotations)


def test_text_is_held_back_only_while_it_may_become_a_mark() -> None:
    """A client waits for the rest of a marker and for nothing else."""
    annotator = Annotator(CITATIONS, FILES, step=0)
    given_at_once = [
        "".join(piece.value for piece in annotator.feed(fragment))
        for fragment in ("It", " failed [", "1", "]", " and", " [x", "]")
    ]

    assert ["It", " failed ", "", "", f"{FIRST} and", " [x", "]"] == given_at_once


def test_several_links_each_have_their_place() -> None:
    """Repeated ones too; an index counts characters, whatever they are made of."""
    report, other = "sandbox:/mnt/data/report.xlsx", "sandbox:/mnt/data/Ünï-cödé.csv"
    written = f"😀 [a]({report}) ünd [b]({other}), nöch einmal [a]({report}) [1] 日本 {other}!"
    annotator, _ = annotate(*written)

    marks = annotator.annotations
    assert [report, other, report, FIRST, other] == [mark.text for mark in marks]
    assert ["file-x", "file-u", "file-x", None, "file-u"] == [
        mark.file_path and mark.file_path.file_id for mark in marks
    ]
    assert [mark.text for mark in marks] == [
        annotator.value[mark.start_index : mark.end_index] for mark in marks
    ]


def test_files_of_earlier_runs_are_linked_but_not_pressed_on_the_reader() -> None:
    """A new file of the same path takes the old one's place; only this run's are added at the end."""
    earlier = [MadeFile("/mnt/data/old.csv", "file-o"), MadeFile("/mnt/data/report.xlsx", "file-0")]
    annotator = Annotator([], FILES[:1], step=0, earlier=earlier)
    annotator.feed("See sandbox:/mnt/data/old.csv")
    annotator.close()
    annotator.closing_marks()

    assert (
        "See sandbox:/mnt/data/old.csv\n\n[report.xlsx](sandbox:/mnt/data/report.xlsx)"
    ) == annotator.value
    assert ["file-o", "file-x"] == [
        mark.file_path.file_id for mark in annotator.annotations if mark.file_path
    ]


def test_names_that_differ_by_their_escapes_are_kept_apart() -> None:
    """A file that is really called a%20b.csv is linked as such."""
    files = [MadeFile("/mnt/data/a b.csv", "file-1"), MadeFile("/mnt/data/a%20b.csv", "file-2")]
    annotator = Annotator([], files, step=0)
    annotator.feed("sandbox:/mnt/data/a%20b.csv sandbox:/mnt/data/a b.csv")
    annotator.close()

    assert ["file-2", "file-1"] == [
        m.file_path.file_id for m in annotator.annotations if m.file_path
    ]


def test_closing_marks_cite_the_passage_that_was_used() -> None:
    """A forgetful model's answer gets the source that shares most words with it, and links to the made files."""
    annotator, _ = annotate("Tokyo has 14 million inhabitants.", closing=True)

    assert (
        f"Tokyo has 14 million inhabitants. {SECOND}"
        "\n\n[report.xlsx](sandbox:/mnt/data/report.xlsx)"
        "\n\n[Ünï-cödé.csv](sandbox:/mnt/data/Ünï-cödé.csv)"
        "\n\n[my report (2) [1].csv](sandbox:/mnt/data/my report (2) [1].csv)"
        "\n\n[my report](sandbox:/mnt/data/my report)"
    ) == annotator.value
    assert ["file_citation", *["file_path"] * 4] == [m.type for m in annotator.annotations]


def test_a_figure_gets_the_passage_that_holds_it() -> None:
    """The model cites the wrong passage; the one with the number of its answer is cited as well, and only that."""
    passages = [
        Citation(1, "file-a", "a.pdf", "The company repurchased 722,457 shares.", page=3),
        Citation(2, "file-a", "a.pdf", "A conference call in 2022.", page=4),
        Citation(3, "file-a", "a.pdf", "Nothing of note.", page=5),
    ]

    def cited_pages(text: str) -> list[int | None]:
        annotator = Annotator(passages, [], step=0)
        _ = annotator.feed(text) + annotator.close() + annotator.closing_marks()
        return [m.file_citation.page for m in annotator.annotations if m.file_citation]

    assert [4, 3] == cited_pages("[2] It repurchased 722457 shares.")
    assert [3] == cited_pages("[1] It repurchased 722,457 shares.")
    assert [4] == cited_pages("[2] The call was in 2022.")
    assert [5] == cited_pages("[3] It sold 99 of 12,345.")


def test_closing_marks_repeat_nothing() -> None:
    """What the model cited and linked itself is left alone."""
    written = "Failed [1]. " + " ".join(f"[f](sandbox:{made.path})" for made in FILES)
    annotator, _ = annotate(written)

    assert [] == annotator.closing_marks()


def test_an_answer_that_shares_nothing_cites_nothing() -> None:
    """Better no citation than a wrong one."""
    assert best_match("I do not know.", CITATIONS) is None
    assert best_match("", []) is None


def test_numbers_weigh_more_than_words() -> None:
    """A passage with the figure of the answer beats one that shares a few words more."""
    words = Citation(1, "f", "w", "the bank failed with losses")
    figure = Citation(2, "g", "w", "assets of 3.5 billion")

    assert figure == best_match("the bank failed: 3.5", [words, figure])


def test_a_wrong_citation_is_joined_by_the_one_with_the_figure() -> None:
    """The cited passage does not hold the number of the answer; another one does."""
    passages = [
        Citation(1, "f", "a.txt", "The bank failed."),
        Citation(2, "g", "b.txt", "Deposits were 12,345 million."),
    ]
    wrong, right = Annotator(passages, [], step=0), Annotator(passages, [], step=0)
    for annotator, number in ((wrong, 1), (right, 2)):
        annotator.feed(f"They were 12,345 million [{number}].")
        annotator.close()
        annotator.closing_marks()

    assert "They were 12,345 million 【0:0†a.txt】. 【0:1†b.txt】" == wrong.value
    assert "They were 12,345 million 【0:1†b.txt】." == right.value
