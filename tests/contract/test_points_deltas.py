"""What clones usually get wrong about deltas: points 7, 8, 9 and 11 of the contract (section 8).

All are tried on every kind of stream there is (streams.py).
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.answers import events_of
from tests.support.engine import PATIENCE

from .streams import Told
from .web import Json, open_web, path_of


def deltas(events: Told, kind: str) -> Iterator[tuple[str, list[Json]]]:
    """(id, entries) of each message or step delta."""
    for name, data in events:
        if name == f"thread.{kind}.delta":
            inner = data["delta"]
            details = inner.get("step_details", {})
            yield data["id"], inner["content"] if kind == "message" else details["tool_calls"]


def lists_of(value: Any) -> Iterator[list[Json]]:
    """Every list of objects inside a delta."""
    if isinstance(value, dict):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from lists_of(item)
    elif isinstance(value, list):
        yield value
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from lists_of(item)


def test_point_07_every_entry_of_a_delta_has_an_index(runs: dict[str, Told]) -> None:
    """An integer and a type, in content, calls, outputs and annotations; a step delta says its step's type."""
    seen = 0
    for events in runs.values():
        types = {d["id"]: d["type"] for name, d in events if name == "thread.run.step.created"}
        for name, data in events:
            if not name.endswith(".delta"):
                continue
            for entries in lists_of(data["delta"]):
                seen += len(entries)
                assert {type(entry["index"]) for entry in entries} <= {int}
                assert [] == [entry for entry in entries if not entry["type"]]
            if name == "thread.run.step.delta":
                assert types[data["id"]] == data["delta"]["step_details"]["type"]
    assert seen > 50


def test_point_07_indexes_grow_from_zero_without_gaps(runs: dict[str, Told]) -> None:
    """A new index is the next one of its list."""
    for events in runs.values():
        for kind in ("message", "run.step"):
            known: dict[str, int] = {}
            for owner, entries in deltas(events, kind):
                for entry in entries:
                    assert entry["index"] <= known.get(owner, -1) + 1
                    known[owner] = max(known.get(owner, -1), entry["index"])


def accumulated(events: Told, kind: str) -> dict[str, dict[int, Json]]:
    """What a client has added up of each message's content or step's calls, by index."""
    found: dict[str, dict[int, Json]] = {}
    for owner, entries in deltas(events, kind):
        for entry in entries:
            add(found.setdefault(owner, {}).setdefault(entry["index"], {}), entry)
    return found


def add(before: Json, fragment: Json) -> None:
    """Add a fragment as the SDKs do: strings grow, lists are merged by index, null changes nothing."""
    for key, value in fragment.items():
        if key in ("index", "type") or before.get(key) is None:
            before[key] = json.loads(json.dumps(value))
        elif isinstance(value, str):
            before[key] += value
        elif isinstance(value, dict):
            add(before[key], value)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list):
            merge(before[key], value)  # pyright: ignore[reportUnknownArgumentType]


def merge(before: list[Json], fragments: list[Json]) -> None:
    """Add entries to those with their index."""
    for fragment in fragments:
        known = next((entry for entry in before if entry["index"] == fragment["index"]), None)
        if known is None:
            before.append(fragment)
        else:
            add(known, fragment)


def without_index(value: Any) -> Any:
    """`value` as the ends of messages and steps show it: entries have no index there."""
    if isinstance(value, list):
        return [without_index(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    return {
        key: without_index(item)
        for key, item in value.items()  # pyright: ignore[reportUnknownVariableType]
        if key != "index"
    }


def test_point_08_deltas_carry_only_what_is_new(runs: dict[str, Told]) -> None:
    """Added up they are the text, the arguments and the code of the end, not more."""
    texts = 0
    for events in runs.values():
        shown = accumulated(events, "message") | accumulated(events, "run.step")
        for name, data in events:
            if name in ("thread.message.completed", "thread.message.incomplete"):
                for index, part in enumerate(data["content"]):
                    if part["type"] == "text":
                        texts += 1
                        assert part["text"]["value"] == shown[data["id"]][index]["text"]["value"]
            elif name == "thread.run.step.completed":
                for index, call in enumerate(data["step_details"].get("tool_calls", ())):
                    for kind, field in (("function", "arguments"), ("code_interpreter", "input")):
                        if call["type"] == kind:
                            assert call[kind][field] == shown[data["id"]][index][kind][field]
    assert texts > 12


async def test_point_08_a_text_comes_in_the_pieces_it_is_made_of(tmp_path: Path) -> None:
    """A word a second, each in a fragment of its own; none repeats the one before it."""
    words = [f"word{number} " for number in range(10)]
    async with open_web(tmp_path, [{"text": "".join(words), "tokens_per_second": 1}]) as web:
        run = await web.started(await web.assistant())
        async with asyncio.timeout(PATIENCE):
            async for event in web.home.services.runs.stream(run["id"]):
                told = json.dumps(event.data)
                if event.name == "thread.message.delta" and words[-1].rstrip() not in told:
                    await web.home.virtual.advance(1, sleepers=2)  # the worker's heart, the script
        stream = await web.client.get(f"{path_of(run)}/events")
    parts = [entries for _, entries in deltas(events_of(stream.text), "message")]
    assert [[word.rstrip()] for word in words] == [
        [part["text"]["value"].rstrip() for part in entries] for entries in parts
    ]


def test_point_09_an_annotation_is_sent_once_and_whole(runs: dict[str, Told]) -> None:
    """In one delta, whose value is the whole mark; ids, names and file ids are sent once, too."""
    marks = [
        (part["text"]["value"], mark)
        for _, entries in deltas(runs["search"], "message")
        for part in entries
        for mark in part["text"].get("annotations", ())
    ]
    final = next(d for name, d in runs["search"] if name == "thread.message.completed")
    text = final["content"][0]["text"]
    assert [0, 1] == [mark["index"] for _, mark in marks]
    assert [value for value, _ in marks] == [mark["text"] for _, mark in marks]
    for mark in text["annotations"]:
        assert mark["text"] == text["value"][mark["start_index"] : mark["end_index"]]
        assert "index" not in mark
    assert [without_index(mark) for _, mark in marks] == text["annotations"]


def test_point_09_ids_and_names_are_sent_once(runs: dict[str, Told]) -> None:
    """In the first delta of their entry: a second copy would be glued to the first."""
    for events in runs.values():
        for owner, calls_of in accumulated(events, "run.step").items():
            end = next(
                (d for n, d in events if n == "thread.run.step.completed" and d["id"] == owner),
                None,
            )
            for index, call in enumerate(end["step_details"]["tool_calls"] if end else ()):
                shown = calls_of[index]
                assert call["id"] == shown["id"]
                if call["type"] == "function":
                    assert call["function"]["name"] == shown["function"]["name"]
                if call["type"] == "code_interpreter":
                    outputs = without_index(shown["code_interpreter"]["outputs"])
                    assert call["code_interpreter"]["outputs"] == outputs


def test_point_11_the_end_of_a_message_has_its_whole_content(runs: dict[str, Told]) -> None:
    """Pictures and text as added up from the deltas; never null, never empty."""
    ended = 0
    for events in runs.values():
        shown = accumulated(events, "message")
        for name, data in events:
            if name in ("thread.message.completed", "thread.message.incomplete"):
                parts = shown[data["id"]]
                assert data["content"] == without_index([parts[i] for i in sorted(parts)])
                assert data["content"]
                ended += 1
    assert ended > 12
