"""Rebuilds from a run's journal what clients have seen of a message whose writer is gone.

A message's fragments are in the journal alone until it is complete; when the process that wrote it died, they are
added up here just as a client adds them.
"""

from collections.abc import Iterator
from typing import Any

from .events import EventName
from .objects import (
    Annotation,
    Content,
    ImageFile,
    ImageFileContent,
    TextContent,
    TextValue,
)
from .ports import Transaction


def shown_content(tx: Transaction, run_id: str, message_id: str) -> tuple[Content, ...]:
    """The message's content as far as its deltas have told it; empty when there were none."""
    parts: dict[int, Content] = {}
    for part in _parts(tx, run_id, message_id):
        index = int(part["index"])
        if part["type"] == "image_file":
            file_id = str(part["image_file"]["file_id"])
            parts[index] = ImageFileContent(image_file=ImageFile(file_id=file_id))
        else:
            parts[index] = _longer(parts.get(index), part["text"])
    return tuple(parts[index] for index in sorted(parts))


def _parts(tx: Transaction, run_id: str, message_id: str) -> Iterator[dict[str, Any]]:
    after = 0
    while batch := tx.events(run_id, after):
        after = batch[-1].seq
        for event in batch:
            if event.name is EventName.MESSAGE_DELTA and event.data["id"] == message_id:
                yield from event.data["delta"]["content"]


def _longer(text: Content | None, fragment: dict[str, Any]) -> TextContent:
    before = text.text if isinstance(text, TextContent) else TextValue(value="")
    marks = [Annotation.model_validate(mark) for mark in fragment.get("annotations", ())]
    plain = tuple(mark.model_copy(update={"index": None}) for mark in marks)
    value = before.value + str(fragment["value"])
    return TextContent(text=TextValue(value=value, annotations=before.annotations + plain))
