"""Keyword search in a word index: BM25 with the statistics of the stores that are searched.

FTS5's own bm25() counts how rare a word is in the whole database. With many stores in one index that is wrong for each
of them: in a store about one company its name says nothing, however rare it is elsewhere. So every word is searched
alone, and its bm25() is rescaled from its rarity in the database to that in the stores; the sum over the words is BM25
as if there were only these stores. (The mean length of a text stays the database's.)

A word that is repeated tells less than with bm25(): its k1 is 0.9 in place of 1.2, which is fixed there. Chunks are
short, and a word that stands in one three times is seldom what it is about three times (docs/decisions/0020).

The rarest words choose the candidates; the frequent ones, of which a large store has very many, only add to those. So
the cost grows with the rare words of a question. A text that has nothing but its frequent words may be missed when
there are enough others. In a large store words that more than half of the texts have count for nothing, as in FTS5's
own bm25(), unless there are no others.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log, log1p
from typing import Any

from . import rows

CANDIDATES = 1000
"""Texts that the rarest words choose at most, if one word alone has not more."""

_RANGE = 2**32 - 1  # rows of a store
_MANY_FILES = 0.25  # share of a store's files from which on the best of all are looked through
_SPARE = 1.5  # so many more of them, since files do not match alike
_K1 = 0.9  # how soon repeating a word stops to count; a word alone in a text of mean length counts its rarity
_FTS5_K1 = 1.2  # bm25()'s
_FLOOR = 1e-6  # what bm25() takes for the rarity of a word that more than half of the texts have


@dataclass(frozen=True, slots=True)
class WordIndex:
    """A full-text index: its table, that of the texts, the weights of its columns, the expression of a result's key."""

    table: str
    texts: str
    weights: tuple[float, float]
    key: str

    @property
    def relevance(self) -> str:
        """The expression of a match's relevance; bm25() is negative, the better the lower."""
        return f"-bm25({self.table}, {', '.join(map(str, self.weights))})"


CHUNKS = WordIndex("chunk_words", "chunks", (1.0, 1.0), "t.id")
FILES = WordIndex("file_words", "extracts", (1.0, 1.0), "t.vector_store_id || '/' || t.file_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to search.

    Attributes:
        ranges: the first row of each store.
        texts: how many texts these stores have.
        all_texts: how many all stores have.
        stores: ids of the stores.
        file_ids: the files that may be found; None: all.
        dead: whether there are chunks that nothing may find any more, though they are not erased yet.
        share: which part of the stores' files these are, 0..1.
        also: rows whose relevance is wanted in any case, if they have one of the words.
    """

    ranges: Sequence[int]
    texts: int
    all_texts: int
    stores: Sequence[str] = ()
    file_ids: Sequence[str] | None = None
    dead: bool = False
    share: float = 1.0
    also: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class _Word:
    quoted: str
    texts: int  # that have it, in the stores searched
    most: float = 0.0  # see `_weighed`
    half: float = 1.0


def best(
    connection: sqlite3.Connection,
    index: WordIndex,
    scope: Scope,
    quoted: Sequence[str],
    limit: int,
) -> list[tuple[str, float]]:
    """(key, relevance > 0) of the texts that have any of the words, best first; `quoted`: as FTS5 strings.

    At most `limit`, and those of `scope.also` beside them.
    """
    counted = [_Word(word, _count(connection, index, word, scope.ranges)) for word in quoted]
    found = _telling([word for word in counted if word.texts], scope)
    if not found:
        return []
    words = [_weighed(connection, index, scope, word) for word in found]
    if scope.file_ids is not None and scope.share >= _MANY_FILES:
        # Looking at each match costs more than looking at the best ones of all files, if there are enough among them.
        wide = ceil(_SPARE * limit / scope.share)
        everything = replace(scope, file_ids=None, share=1.0)
        wanted = set(scope.file_ids)
        hits = _search(connection, index, everything, words, wide)
        kept = [(key, relevance) for key, file_id, relevance in hits if file_id in wanted]
        if len(kept) >= limit:
            return kept if scope.also else kept[:limit]
    hits = _search(connection, index, scope, words, limit)
    return [(key, relevance) for key, _, relevance in hits]


def _search(
    connection: sqlite3.Connection,
    index: WordIndex,
    scope: Scope,
    words: Sequence[_Word],
    limit: int,
) -> list[tuple[str, str, float]]:
    """(key, file id, relevance), best first."""
    values: dict[str, Any] = {"limit": limit, **_scope_values(scope)}
    for number, word in enumerate(words):
        values |= {f"word{number}": word.quoted}
        values |= {f"most{number}": word.most, f"half{number}": word.half}
    statement = _statement(index, scope, len(words), _choosing(words, scope, limit))
    return connection.execute(statement, values).fetchall()


def _telling(words: Sequence[_Word], scope: Scope) -> list[_Word]:
    """The words that tell texts apart, rarest first; one that most of many texts have does not, and costs most."""
    rarest = sorted(words, key=lambda word: word.texts)
    few = max(CANDIDATES, scope.texts / 2)
    return [word for word in rarest if word.texts <= few] or rarest


def _count(
    connection: sqlite3.Connection, index: WordIndex, word: str, ranges: Sequence[int] | None
) -> int:
    """How many texts have a word, in these ranges or anywhere."""
    statement = f"SELECT count(*) FROM {index.table} WHERE {index.table} MATCH ?"
    if ranges is None:
        return int(connection.execute(statement, (word,)).fetchone()[0])
    statement += " AND rowid BETWEEN ? AND ?"
    return sum(
        connection.execute(statement, (word, first, first + _RANGE)).fetchone()[0]
        for first in ranges
    )


def _weighed(connection: sqlite3.Connection, index: WordIndex, scope: Scope, word: _Word) -> _Word:
    """The word with what makes its relevance r in these stores, with our k1, of its bm25() b: most * b / (half + b).

    For x occurrences by the text's relative length, b is rarity * (K + 1) * x / (x + K), and r the same with the other
    rarity and k instead of K. Without x that is r = rarity' * (k + 1) * K / (K - k) * b / (half + b), where half is
    rarity * (K + 1) * k / (K - k).
    """
    everywhere = word.texts
    if scope.all_texts > scope.texts:
        everywhere = _count(connection, index, word.quoted, None)
    rarity = log1p((scope.texts - word.texts + 0.5) / (word.texts + 0.5))
    taken = max(_FLOOR, log((scope.all_texts - everywhere + 0.5) / (everywhere + 0.5)))
    most = rarity * (_K1 + 1) * _FTS5_K1 / (_FTS5_K1 - _K1)
    half = taken * (_FTS5_K1 + 1) * _K1 / (_FTS5_K1 - _K1)
    return _Word(word.quoted, word.texts, most, half)


def _choosing(words: Sequence[_Word], scope: Scope, limit: int) -> int:
    """How many of the words, the rarest first, choose the candidates."""
    room = max(CANDIDATES, 4 * limit) / max(scope.share, 0.001) - words[0].texts
    chosen = 1
    while chosen < len(words) and (room := room - words[chosen].texts) >= 0:
        chosen += 1
    return chosen


def _scope_values(scope: Scope) -> dict[str, Any]:
    bounds: dict[str, Any] = {f"first{n}": first for n, first in enumerate(scope.ranges)}
    bounds |= {f"last{n}": first + _RANGE for n, first in enumerate(scope.ranges)}
    bounds |= {"also": rows.encode(list(scope.also))} if scope.also else {}
    if scope.dead or scope.file_ids is not None:
        bounds["stores"] = rows.encode(list(scope.stores))
    if scope.file_ids is not None:
        bounds["file_ids"] = rows.encode(list(scope.file_ids))
    return bounds


def _statement(index: WordIndex, scope: Scope, words: int, choosing: int) -> str:
    """The search for so many words, of which the first ones choose the candidates."""
    allowed = (
        f"allowed AS MATERIALIZED (SELECT a.seq FROM json_each(:stores) AS s CROSS JOIN json_each(:file_ids) AS f "
        f"CROSS JOIN {index.texts} AS a ON a.vector_store_id = s.value AND a.file_id = f.value), "
    )
    dead = (
        "dead AS MATERIALIZED (SELECT c.seq FROM json_each(:stores) AS s CROSS JOIN files_to_erase AS e "
        "ON e.vector_store_id = s.value CROSS JOIN chunks AS c "
        "ON c.vector_store_id = e.vector_store_id AND c.file_id = e.file_id), "
    )
    only = "" if scope.file_ids is None else " AND +rowid IN allowed"
    only += " AND +rowid NOT IN dead" if scope.dead else ""
    sets = (allowed if scope.file_ids is not None else "") + (dead if scope.dead else "")
    # a plus keeps SQLite from searching the word anew for each of the rows
    among = " AND +rowid IN scored"
    stores = range(len(scope.ranges))
    chosen = [_matches(index, word, store, only) for word in range(choosing) for store in stores]
    others = [
        _matches(index, word, store, among) for word in range(choosing, words) for store in stores
    ]
    also = " UNION SELECT value FROM json_each(:also)" if scope.also else ""
    kept = " UNION SELECT * FROM summed WHERE row IN (SELECT value FROM json_each(:also))"
    return (
        f"WITH {sets}chosen AS MATERIALIZED ({' UNION ALL '.join(chosen)}), "
        f"scored AS MATERIALIZED (SELECT row FROM chosen{also}), "
        "summed AS MATERIALIZED (SELECT row, sum(part) AS relevance FROM "
        f"({' UNION ALL '.join(['SELECT row, part FROM chosen', *others])}) GROUP BY row), "
        "ranked AS MATERIALIZED (SELECT * FROM "
        f"(SELECT * FROM summed ORDER BY relevance DESC, row LIMIT :limit){kept if also else ''}) "
        f"SELECT {index.key}, t.file_id, relevance FROM ranked CROSS JOIN {index.texts} AS t ON t.seq = ranked.row "
        "ORDER BY relevance DESC, row"
    )


def _matches(index: WordIndex, word: int, store: int, condition: str) -> str:
    """The rows of a store that have a word, and what it adds to their relevance."""
    # most * b / (half + b), so written that the costly b stands in it once
    relevance = f":most{word} * (1 - :half{word} / (:half{word} + {index.relevance}))"
    return (
        f"SELECT rowid AS row, {relevance} AS part FROM {index.table} "
        f"WHERE {index.table} MATCH :word{word} AND rowid BETWEEN :first{store} AND :last{store}{condition}"
    )
