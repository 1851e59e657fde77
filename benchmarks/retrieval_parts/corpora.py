"""The test collections in `data/`, read as they are: texts, questions, and what answers each."""

import csv
import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).with_name("data")
Span = tuple[int, int]
"""First character and the one behind the last."""


@dataclass(frozen=True)
class Claims:
    """SciFact: abstracts as files, claims, and the names of the files that a claim is judged by."""

    files: dict[str, bytes]
    claims: dict[str, str]
    judged: dict[str, set[str]]


@dataclass(frozen=True)
class Question:
    """A question and the characters of one text that answer it."""

    text: str
    source: str
    spans: tuple[Span, ...]


def scifact() -> Claims:
    """5,183 files named by the numbers of the abstracts, title first; 300 claims."""
    files: dict[str, bytes] = {}
    with gzip.open(DATA / "scifact" / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            files[f"{one['_id']}.txt"] = f"{one['title']}\n\n{one['text']}".encode()
    with (DATA / "scifact" / "queries.jsonl").open(encoding="utf-8") as lines:
        claims = {one["_id"]: one["text"] for one in map(json.loads, lines)}
    judged: defaultdict[str, set[str]] = defaultdict(set)
    with (DATA / "scifact" / "qrels.tsv").open(encoding="utf-8", newline="") as lines:
        for one in csv.DictReader(lines, delimiter="\t"):
            judged[one["query-id"]].add(f"{one['corpus-id']}.txt")
    return Claims(files, claims, dict(judged))


def chunking_texts() -> dict[str, str]:
    """The five texts of the chunking set by file name."""
    found: dict[str, str] = {}
    for path in sorted((DATA / "chunking").glob("*.md.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            found[path.name.removesuffix(".gz")] = stream.read()
    return found


def chunking_questions() -> list[Question]:
    """The 472 questions about them."""
    path = DATA / "chunking" / "questions_df.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return [_question(row) for row in csv.DictReader(lines)]


def _question(row: dict[str, str]) -> Question:
    parts = json.loads(row["references"])
    spans = tuple((one["start_index"], one["end_index"]) for one in parts)
    return Question(row["question"], f"{row['corpus_id']}.md", spans)
