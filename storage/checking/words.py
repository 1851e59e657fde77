"""The word indexes against the texts, read-only and in bounded memory.

FTS5 compares them itself only for whoever may write. Here a sum over all words of the index is compared with the same
sum over the texts, taken apart anew some at a time; and each text has its line in the index. The sum tells words that
are missing, left over or changed, wherever the whole differs; not which text they belong to.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ...engine import invariants
from .look import Found, Look

_AT_ONCE = 1000  # texts
_BEFORE_ALL = -(1 << 63)
_TOKENIZER = "porter unicode61"

# Weighs a word by its length and some of its letters, in 28 bits, so that no sum leaves 64.
_SUM = """
SELECT coalesce(sum(cnt), 0), coalesce(sum(cnt * (
  (length(term) * 104729 + unicode(term) * 7919 + unicode(substr(term, -1)) * 1299709
    + coalesce(unicode(substr(term, 2, 1)), 0) * 15485863 + length(col) * 32452843) & 268435455
)), 0) FROM temp.{table}
"""


@dataclass(frozen=True, slots=True)
class _Index:
    name: str
    texts: str  # the table
    columns: str


_INDEXES = (
    _Index("chunk_words", "chunks", "heading, text"),
    _Index("file_words", "extracts", "filename, opening"),
)


def check(look: Look) -> Iterator[Found]:
    """Both indexes."""
    for index in _INDEXES:
        for seen in _lines(look, index):
            yield Found(invariants.WORDS_AGREE, index.name, seen)
        kept, texts = _kept(look, index), _made_anew(look, index)
        if kept != texts:
            seen = f"has {kept[0]} words, the texts {texts[0]}"
            same = " in number, and not the same" if kept[0] == texts[0] else ""
            yield Found(invariants.WORDS_AGREE, index.name, seen + same)


def _lines(look: Look, index: _Index) -> Iterator[str]:
    for texts, lines in (
        (index.texts, f"{index.name}_docsize"),
        (f"{index.name}_docsize", index.texts),
    ):
        key, other = ("seq", "id") if texts == index.texts else ("id", "seq")
        (number,) = look.connection.execute(
            f"SELECT count(*) FROM {texts} AS a WHERE NOT EXISTS (SELECT 1 FROM {lines} AS b WHERE b.{other} = a.{key})"
        ).fetchone()
        if number:
            yield (
                f"{number} texts are not in it"
                if texts == index.texts
                else f"{number} lines of it have no text"
            )


def _kept(look: Look, index: _Index) -> tuple[int, int]:
    look.connection.execute(
        f"CREATE VIRTUAL TABLE temp.kept_words USING fts5vocab('main', '{index.name}', 'col')"
    )
    try:
        return _sum(look, "kept_words")
    finally:
        look.connection.execute("DROP TABLE temp.kept_words")


def _made_anew(look: Look, index: _Index) -> tuple[int, int]:
    execute = look.connection.execute
    execute(
        f"CREATE VIRTUAL TABLE temp.anew USING fts5({index.columns}, content = '', tokenize = '{_TOKENIZER}')"
    )
    execute("CREATE VIRTUAL TABLE temp.anew_words USING fts5vocab('temp', 'anew', 'col')")
    number, total, last = 0, 0, _BEFORE_ALL
    try:
        while (until := _until(look, index, last)) is not None:
            execute(
                f"INSERT INTO temp.anew (rowid, {index.columns}) SELECT seq, {index.columns} "
                f"FROM main.{index.texts} WHERE seq > ?1 AND seq <= ?2",
                (last, until),
            )
            some = _sum(look, "anew_words")
            number, total, last = number + some[0], total + some[1], until
            execute("INSERT INTO temp.anew (anew) VALUES ('delete-all')")
            look.rows += _AT_ONCE
            look.on_progress(look.stage, look.rows)
    finally:
        execute("DROP TABLE temp.anew_words")
        execute("DROP TABLE temp.anew")
    return number, total


def _until(look: Look, index: _Index, last: int) -> int | None:
    """The row with which the next some texts end; None when there are none."""
    (until,) = look.connection.execute(
        f"SELECT max(seq) FROM (SELECT seq FROM main.{index.texts} WHERE seq > ?1 "
        "ORDER BY seq LIMIT ?2)",
        (last, _AT_ONCE),
    ).fetchone()
    return None if until is None else int(until)


def _sum(look: Look, table: str) -> tuple[int, int]:
    number, total = look.connection.execute(_SUM.format(table=table)).fetchone()
    return int(number), int(total)
