"""Text, markdown, TeX, JSON and source code: the text as it stands, and the headings found in it."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_assistants.tools.file_search.parsing import json_text
from local_assistants.tools.file_search.parsing.documents import LONGEST_TITLE, Document, PageSpan
from local_assistants.tools.file_search.parsing.plain_text import clean
from tests.unit.tools.file_search.reading import headings, read


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("Grüße 😀".encode(), "Grüße 😀", id="utf-8"),
        pytest.param(b"\xef\xbb\xbfmarked", "marked", id="utf-8 with mark"),
        pytest.param("Grüße 😀".encode("utf-16"), "Grüße 😀", id="utf-16"),
        pytest.param(b"\xfe\xff" + "big".encode("utf-16-be"), "big", id="utf-16-be"),
        pytest.param("Grüße, world".encode("utf-16-le"), "Grüße, world", id="utf-16-le, no mark"),
        pytest.param("Grüße, world".encode("utf-16-be"), "Grüße, world", id="utf-16-be, no mark"),
        pytest.param(b"a\x00b", "ab", id="NUL"),
        pytest.param(b"line\r\nline\n", "line\r\nline\n", id="line ends"),
        pytest.param(b'"\\ud800"', '"\\ud800"', id="escaped surrogate"),
    ],
)
def test_text_is_decoded(data: bytes, text: str) -> None:
    """UTF-8, UTF-16 and ASCII become text; what no store can hold is dropped."""
    assert read("a.txt", data).text == text


def test_a_lone_surrogate_is_dropped() -> None:
    """Libraries give halves of characters, which no store takes."""
    assert clean("a\ud800b\x00") == "ab"


def test_source_code_stays_as_it_is() -> None:
    """Indentation is part of the text, and a file without pages has none."""
    code = "x = 1\nif x:\n    print({'a': 1})\n"

    assert read("a.PY", code.encode()) == Document(code, (PageSpan(None, 0, len(code)),))


MARKDOWN = """---
title: "The Guide"
---
# Top #

Words
continue
---

Under line
==========

Text.

Second
------

- item
---

```python
# no heading
```
## [Link](https://example.org/a) and **bold** `code`
#hashtag
   ### Indented
    # code
"""


def test_headings_of_markdown() -> None:
    """Both styles, the front matter's title; neither rules, list items, tags nor code."""
    document = read("a.md", MARKDOWN.encode())

    assert headings(document) == [
        (0, "The Guide"),
        (1, "Top"),
        (1, "Under line"),
        (2, "Second"),
        (2, "Link and bold code"),
        (3, "Indented"),
    ]
    assert document.text == MARKDOWN
    lines = [document.text[heading.start :].split("\n")[0] for heading in document.headings]
    assert lines[1:4] == ["# Top #", "Under line", "Second"]


TEX = r"""\documentclass{article}
\title{On {\em Rates} and Risk\thanks{nobody}}
\begin{document}
\begin{abstract} Short. \end{abstract}
% \section{Commented out}
\section*{Growth of 5\% \\ a year}
Text. % \section{also not}
\subsection[short]{The long one \label{sec:a}}
\paragraph{Unclosed
"""


def test_headings_of_tex() -> None:
    """Sections with their nesting, without commands; none from comments."""
    document = read("a.tex", TEX.encode())

    assert [(level, " ".join(title.split())) for level, title in headings(document)] == [
        (0, "On Rates and Risk"),
        (3, "Abstract"),
        (3, r"Growth of 5\% a year"),
        (4, "The long one"),
        (6, "Unclosed"),
    ]
    assert document.text == TEX


@pytest.mark.parametrize(
    ("name", "code", "names"),
    [
        (
            "a.py",
            "class A:\n    async def f(self):\n        pass\n\ndef g(): ...\n",
            ["A", "f", "g"],
        ),
        ("a.rb", "module M\n  class C < D\n    def go!\n", ["M", "C", "go!"]),
        (
            "a.js",
            "export class A {}\nexport default function f() {\nconst g = async (x) => {\n",
            ["A", "f", "g"],
        ),
        ("a.ts", "interface I {\nexport type T = string\nenum E {", ["I", "T", "E"]),
        (
            "a.go",
            "type T struct {\n\nfunc (t *T) Go(a int) error {\nfunc Run() {",
            ["T", "Go", "Run"],
        ),
        ("a.java", "public final class A {\n  private int f(int x) {\n    if (x) {\n", ["A", "f"]),
        (
            "a.cs",
            "namespace N {\n  public partial class A {\n    public async Task<int> F(int x) {\n",
            ["N", "A", "F"],
        ),
        ("a.php", "<?php\nclass A {\n  public static function f() {\n", ["A", "f"]),
        (
            "a.c",
            "struct s {\nstatic int *main(int argc,\n    char **argv)\n{\n  call(x);\n",
            ["s", "main"],
        ),
        ("a.cpp", "namespace n {\nclass A {\n};\nvoid A::run(int x) {\n", ["n", "A", "run"]),
        ("a.sh", "set -e\nmain() {\nfunction other () {\n", ["main", "other"]),
        ("a.css", "h1 { color: red }", []),
        ("a.txt", "# no heading", []),
    ],
)
def test_definitions_are_headings_of_code(name: str, code: str, names: list[str]) -> None:
    """Classes and functions are found by the lines that they begin with."""
    assert [title for _, title in headings(read(name, code.encode()))] == names


def test_methods_stand_under_their_class() -> None:
    """What is indented deeper is of a deeper level."""
    code = "class A:\n    def f(self):\n\tpass\ndef g(): ...\n"

    assert headings(read("a.py", code.encode())) == [(1, "A"), (5, "f"), (1, "g")]


PRODUCTS = {
    "products": {f"x{n}": {"price": 5.10, "colours": ["red", "größer"] * 20} for n in range(3)},
    "empty": {},
}


def test_json_in_lines_stays_as_it_is() -> None:
    """What somebody wrote is not written anew; the keys of large values are headings."""
    text = json.dumps(PRODUCTS, indent=2)
    document = read("a.json", text.encode())

    assert document.text == text
    assert [title for _, title in headings(document)][:4] == ["products", "x0", "colours", "x1"]
    assert [level for level, _ in headings(document)][:4] == [1, 2, 3, 2]


def test_json_of_one_line_is_written_in_lines() -> None:
    """Same values, digit for digit, a short record a line, headings where their keys stand."""
    rows = ", ".join(f'{{"id": {n}, "sum": 1.10, "big": 12345678901234567890}}' for n in range(50))
    text = f'{{"rows":[{rows}],"other":{json.dumps(PRODUCTS, separators=(",", ":"))}}}'
    document = read("a.json", text.encode())
    lines = document.text.split("\n")

    assert json.loads(document.text) == json.loads(text)
    assert '  {"id": 7, "sum": 1.10, "big": 12345678901234567890},' in lines
    assert max(len(line) for line in lines) < 200
    assert [document.text[h.start :].startswith(f'"{h.title}"') for h in document.headings] == [
        True
    ] * len(document.headings)
    assert [title for _, title in headings(document)][:3] == ["rows", "other", "products"]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_keeps_its_values(value: object) -> None:
    """Whatever is written in lines says the same as before."""
    page = json_text.page(json.dumps([value, "x" * 2000], separators=(",", ":")))

    assert json.loads(page.text) == [value, "x" * 2000]


@pytest.mark.parametrize(
    "text", ['{"a": 1}\n{"a": 2}\n', "{a: 1, // comment\n}", '["unclosed', "]["]
)
def test_what_is_no_json_is_text(text: str) -> None:
    """A broken file, or one with a record a line, can be searched all the same."""
    assert read("a.json", text.encode()).text == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("a.json", "[" * 400_000 + "]" * 400_000, id="deep JSON"),
        pytest.param("a.json", '{"a":' * 200_000 + "1" + "}" * 200_000, id="deep objects"),
        pytest.param("a.json", '"' + '\\"' * 400_000, id="quotes without end"),
        pytest.param("a.json", '{"a":1,' * 100_000, id="objects without end"),
        pytest.param("a.md", "[" * 200_000 + "\n" + "# [" * 100_000, id="links without end"),
        pytest.param("a.md", "#\n" * 300_000, id="empty headings"),
        pytest.param("a.md", "# a\n" * 200_000, id="many headings"),
        pytest.param("a.tex", r"\section{" * 60_000, id="sections without end"),
        pytest.param("a.tex", "\\section[" * 60_000, id="options without end"),
        pytest.param("a.tex", "%" + r"\section{a}" * 700_000, id="a comment without end"),
        pytest.param("a.tex", r"\begin{abstract}" * 400_000, id="abstracts without end"),
        pytest.param("a.json", "[[1,2]" + ",[1,2]" * 300_000 + "]", id="pairs"),
        pytest.param("a.json", "," * 1_000_000, id="commas"),
        pytest.param("a.json", "[" + ("[" * 190 + "]" * 190 + ",") * 2000 + "1]", id="stairs"),
        pytest.param("a.cpp", "{" * 1_000_000 + "/*" * 1_000_000, id="comments in braces"),
        pytest.param("a.cpp", "int f(\n" * 300_000, id="functions without end"),
        pytest.param("a.md", "# a\n\n```\n" * 100_000, id="fences"),
        pytest.param("a.java", "a b(" * 200_000, id="calls on a line"),
        pytest.param("a.c", ("a " * 40 + "b(" * 300 + "\n") * 500, id="parentheses without end"),
        pytest.param("a.js", "const a=(" * 100_000, id="arrows without end"),
        pytest.param("a.py", " " * 800_000 + "def", id="indentation"),
    ],
)
def test_texts_made_to_be_slow_are_not(name: str, text: str) -> None:
    """Each takes seconds at most where quadratic work would take many minutes; headings stay few and short."""
    started = time.process_time()
    document = read(name, text.encode())

    assert time.process_time() - started < 30
    assert len(document.text) < 4 * len(text) + 100
    assert len(document.headings) <= 50_000
    assert all(len(heading.title) <= LONGEST_TITLE for heading in document.headings)
