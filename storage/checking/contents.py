"""The bytes of files and upload parts: that they are there, as long as they should be, unchanged, none too many."""

import time
from collections.abc import Iterator
from pathlib import Path

from ...engine import invariants
from ...engine.errors import StorageFault
from .. import blobs, seals
from .look import Found, Look

_RECORDS = """
SELECT id, json_extract(body, '$.bytes'), (
  SELECT e.content FROM vector_store_files AS s CROSS JOIN extracts AS e
    ON e.vector_store_id = s.vector_store_id AND e.file_id = s.file_id
  CROSS JOIN text_stores AS t ON t.number = e.seq >> 32 AND t.vector_store_id = e.vector_store_id
  WHERE s.file_id = files.id AND e.content <> '' LIMIT 1
) FROM files
UNION ALL
SELECT id, json_extract(body, '$.size'), NULL FROM upload_parts
"""
_RECORD = "SELECT 1 FROM (SELECT id FROM files UNION ALL SELECT id FROM upload_parts) WHERE id = ?"
HOUR = 3600.0


def check(look: Look) -> Iterator[Found]:
    """Every record's bytes, then the bytes without a record."""
    for key, size, digest in look.each(_RECORDS):
        look.files += 1
        seen = _seen(look, key, size, digest)
        # Bytes go after their record: it may have gone since the snapshot was taken.
        if seen is not None and look.now_there(_RECORD, key):
            yield seen
    yield from _strays(look)


def _seen(look: Look, key: str, size: int, digest: str | None) -> Found | None:
    try:
        place = blobs.place_of(look.blobs, key)
        there = place.stat().st_size
        if there != size:
            return Found(invariants.FILE_BYTES, key, f"has {there} bytes and should have {size}")
        wrong = _changed(look, place, digest) if look.contents else None
        if wrong is not None:
            return Found(invariants.FILE_CONTENT, key, wrong)
    except (OSError, StorageFault) as error:
        missing = isinstance(error, FileNotFoundError)
        return Found(
            invariants.FILE_BYTES, key, "its bytes are gone" if missing else f"unreadable: {error}"
        )
    return None


def _changed(look: Look, place: Path, indexed: str | None) -> str | None:
    """What is wrong with the bytes, if anything is known of them but their number."""
    seal = seals.of(place)
    if seal is None and indexed is None:
        return None

    def read(size: int) -> None:
        look.bytes += size
        look.on_progress(look.stage, look.rows)

    found = seals.digest(place, read)
    if seal is not None and found != seal:
        return "its bytes are not what was written"
    return None if indexed in (None, found) else "its bytes are not what was indexed"


def _strays(look: Look) -> Iterator[Found]:
    for place in blobs.places(look.blobs):
        look.on_progress(look.stage, look.rows)
        if look.connection.execute(_RECORD, (place.name,)).fetchone() is not None:
            continue
        try:
            age = time.time() - place.stat().st_mtime
        except FileNotFoundError:
            continue  # removed meanwhile
        if not look.now_there(_RECORD, place.name):
            note = not look.served or age < 2 * HOUR + 60
            seen = f"nothing names these bytes, {age / HOUR:.1f} h old"
            yield Found(invariants.STRAY_BYTES, place.name, seen, note)
