"""Turns what a model writes into what the API shows: citation marks and file links become annotations.

A model cites the passages it was given as [3], or more sloppily, and links files as sandbox:/mnt/data/NAME. `Annotator`
takes the text in fragments of any size and gives it back in pieces, each either plain text or exactly one marker with
its annotation; text that may still become a marker is held back. The pieces do not depend on how the text was cut.

Offsets count code points of the whole value so far: value[start:end] == text. Pure; knows no run and no store.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .citation_marks import CitationMarks
from .file_links import FileLinks
from .objects import Annotation, FileCitation, FilePath
from .ports import Citation, MadeFile
from .sentences import proof, quoted, sentences

_FIGURE = re.compile(r"\d[\d.,]*")
_WORD = re.compile(r"[\w.%$€£]+")
_CLAIM_CHARACTERS = 1200  # before a marker; what it stands for is not farther away


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the final text; a marker carries its annotation and is never split."""

    value: str
    annotation: Annotation | None = None


class Annotator:
    """One message's text on its way to the client.

    Args:
        citations: passages that the model was given.
        files: files that its code made in this run.
        step: the first number of a marker.
        earlier: files that code made in runs before, which may be linked as well.
        named: markers name the file that they cite; else all of them say "source".

    Attributes:
        value: the text shown so far.
        annotations: those made so far, in order, without `index`.
    """

    def __init__(
        self,
        citations: Sequence[Citation],
        files: Sequence[MadeFile],
        step: int,
        *,
        earlier: Sequence[MadeFile] = (),
        named: bool = True,
    ) -> None:
        self._named = named
        self._citations = {citation.number: citation for citation in citations}
        self._files = {made.path: made.file_id for made in files}
        known = {made.path: made.file_id for made in earlier} | self._files
        self._links = FileLinks(known)
        self._marks = CitationMarks(citations)
        self._mark = re.compile(f"{self._marks.pattern}|(?P<link>{self._links.pattern})")
        self._plain_text = not self._citations and not known
        self._step = step
        self._held = ""
        self.value = ""
        self.annotations: list[Annotation] = []

    def feed(self, text: str) -> list[Piece]:
        """Take a fragment; return what can be shown of it."""
        self._held += text
        if self._plain_text:
            return self._release(len(self._held))
        return self._release(min(self._marks.open_at(self._held), self._links.open_at(self._held)))

    def close(self) -> list[Piece]:
        """The end of the text: return what was held back."""
        return self._release(len(self._held))

    def closing_marks(self) -> list[Piece]:
        """What a forgetful model left out: the source of its answer, links to the files it made.

        Small models often answer from a passage without citing it, cite another one, or write a file and never link
        it. The passage that shares most words with the answer is cited when none was; where no cited one holds a figure
        of the answer, one that does is cited too; unlinked files are linked on lines of their own.
        """
        pieces: list[Piece] = []
        source = self._missing_source()
        if source is not None:
            pieces += self._plain(" ") + [self._cite(source)]
        linked = {mark.file_path.file_id for mark in self.annotations if mark.file_path}
        for path, file_id in self._files.items():
            if file_id not in linked:
                name = path.rsplit("/", 1)[-1]
                pieces += (
                    self._plain(f"\n\n[{name}](") + [self._link(path, file_id)] + self._plain(")")
                )
        return pieces

    def _missing_source(self) -> Citation | None:
        marks = {mark.text for mark in self.annotations if mark.file_citation}
        passages = list(self._citations.values())
        if not marks:
            return best_match(self.value, passages)
        answer = self.value
        for mark in marks:
            answer = answer.replace(mark, " ")
        cited = [passage for passage in passages if self._citation_text(passage) in marks]
        others = [passage for passage in passages if passage not in cited]
        unproven = _figures(answer).difference(*(_figures(passage.quote) for passage in cited))
        proofs = [passage for passage in others if unproven & _figures(passage.quote)]
        return max(
            proofs, key=lambda passage: len(unproven & _figures(passage.quote)), default=None
        )

    def _release(self, end: int) -> list[Piece]:
        """Show the held text up to `end`, marks replaced."""
        context = self.value[-1:] + self._held  # one character back, for the look-behind
        back = len(context) - len(self._held)
        pieces: list[Piece] = []
        done = back
        for mark in self._mark.finditer(context, back):
            if mark.end() > back + end:
                break
            pieces += self._plain(context[done : mark.start()])
            pieces += self._replaced(mark, context[mark.end() :])
            done = mark.end()
        pieces += self._plain(context[done : back + end])
        self._held = self._held[end:]
        return pieces

    def _replaced(self, mark: re.Match[str], after: str) -> list[Piece]:
        """What is shown in a mark's place; the mark itself when it means nothing here."""
        link, written = mark["link"], mark.group()
        if link:
            return [self._annotate(link, self._links.target(link))]
        line = self.value[self.value.rfind("\n") + 1 :]
        in_code = self.value.count("```") % 2 == 1
        if in_code or not self._marks.stands(mark, line, after):
            return self._plain(written)
        cited = self._marks.targets(written, claim_of(self.value)[1].split())
        kept = self._plain(f"{written} ") if cited and mark["heading"] else []
        return kept + [self._cite(one) for one in cited] or self._plain(written)

    def _citation_text(self, citation: Citation) -> str:
        source = citation.filename if self._named else "source"
        return f"【{self._step}:{citation.number - 1}†{source}】"

    def _cite(self, citation: Citation) -> Piece:
        return self._annotate(self._citation_text(citation), citation)

    def _link(self, path: str, file_id: str) -> Piece:
        return self._annotate(f"sandbox:{path}", file_id)

    def _annotate(self, text: str, target: Citation | str) -> Piece:
        start = len(self.value)
        self.value += text
        if isinstance(target, Citation):
            quote = quote_of(target, self.value[:start])
            cited = FileCitation(file_id=target.file_id, quote=quote, page=target.page)
            annotation = Annotation(
                type="file_citation",
                text=text,
                start_index=start,
                end_index=len(self.value),
                file_citation=cited,
            )
        else:
            annotation = Annotation(
                type="file_path",
                text=text,
                start_index=start,
                end_index=len(self.value),
                file_path=FilePath(file_id=target),
            )
        self.annotations.append(annotation)
        return Piece(text, annotation)

    def _plain(self, text: str) -> list[Piece]:
        self.value += text
        return [Piece(text)] if text else []


def claim_of(value: str) -> tuple[str, str]:
    """(what was said before, the sentence that a marker at the end of `value` stands for), without other markers."""
    said = re.sub("【[^】]*】", "", value[-_CLAIM_CHARACTERS:]).rstrip()
    spans = sentences(said)
    if not spans:
        return "", ""
    start, end = spans[-1]
    return said[:start], said[start:end]


def cited_span(citation: Citation, value: str, after: str = "") -> tuple[int, int] | None:
    """Which stretch of a passage's text bears out what a marker stands for; None: none does, or it is not known yet.

    That is the sentence at the end of `value`; for a marker at the head of a line, what comes `after` it.
    """
    line = re.sub("【[^】]*】", "", value[value.rfind("\n") + 1 :])
    if re.search(r"[^\W\d_]", line):
        before, claim = claim_of(value)
        return proof(citation.text, claim, before)
    following = re.sub("【[^】]*】", "", after.partition("\n")[0])
    if not following.strip():
        return proof(citation.text, claim_of(value)[1]) if after else None
    start, end = sentences(following)[0]
    return proof(citation.text, following[start:end], following)


def quote_of(citation: Citation, value: str) -> str:
    """The sentence that a marker at the end of `value` cites; else the one that the passage was found for."""
    span = cited_span(citation, value)
    return citation.quote if span is None else quoted(citation.text[span[0] : span[1]])


def _figures(text: str) -> set[str]:
    """The numbers of three digits and more in a text, as written but for separators."""
    return {
        digits for found in _FIGURE.findall(text) if len(digits := re.sub("[.,]", "", found)) >= 3
    }


def best_match(answer: str, citations: Sequence[Citation]) -> Citation | None:
    """The passage that shares most words with the answer, numbers counting five-fold; None when none shares enough."""
    words = {word.lower().strip(".") for word in _WORD.findall(answer)}
    scored: Mapping[int, float] = {
        index: sum(
            5.0 if any(map(str.isdigit, word)) else 1.0
            for word in {w.lower().strip(".") for w in _WORD.findall(citation.quote)} & words
            if len(word) > 2 or word.isdigit()
        )
        for index, citation in enumerate(citations)
    }
    best = max(scored, key=lambda index: (scored[index], -index), default=None)
    return citations[best] if best is not None and scored[best] >= 3 else None
