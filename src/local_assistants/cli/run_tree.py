"""A run's history as a tree for the terminal. What a model or a tool wrote is shown as text, without its escapes."""

from typing import Any

from rich.text import Text
from rich.tree import Tree

from local_assistants.engine.histories import History, timeline

_WIDTH = 100  # characters of what was said or called, in a line


def tree(history: History) -> Tree:
    """States, turns with their steps and calls, in the order in which they happened."""
    run = history.run
    tokens = f", {run.usage.total_tokens} tokens" if run.usage else ""
    root = Tree(_line(f"{run.id}, {run.status.value}, {run.model}{tokens}"))
    root.add(_line(f"thread {run.thread_id}, assistant {run.assistant_id}"))
    for record in timeline(history):
        if record["kind"] == "state":
            root.add(_line(record["status"]))
        elif record["kind"] == "turn":
            _add_turn(root, record)
        else:
            _add_step(root, record, note=", no finished turn's")
    if run.last_error is not None:
        root.add(_line(f"error {run.last_error.code}: {run.last_error.message}"))
    if run.incomplete_details is not None:
        root.add(_line(f"because of {run.incomplete_details.reason}"))
    return root


def _add_turn(root: Tree, turn: dict[str, Any]) -> None:
    prompt = f"{turn['prompt_tokens']} prompt tokens ({turn['cached_tokens']} cached)"
    first = "" if turn["first"] is None else f", the first after {turn['first']:.2f} s"
    ended = turn["reason"] or turn["error"] or "broken off"
    node = root.add(
        _line(
            f"turn {turn['number']}, {prompt}, {turn['completion_tokens']} written{first}, "
            f"{turn['seconds']:.2f} s: {ended}"
        )
    )
    node.add(_line(f"prompt {turn['prompt_digest']}, messages: {turn['prompt_messages']}"))
    for step in turn["steps"]:
        _add_step(node, step)
    shown = {call["id"] for step in turn["steps"] for call in step["calls"]}
    for call in turn["calls"]:
        if call["id"] not in shown:
            node.add(_line(f"call of {call['name']}, which does not exist"))


def _add_step(parent: Tree, step: dict[str, Any], note: str = "") -> None:
    node = parent.add(_line(f"{step['type']}, {step['status']}, {step['id']}{note}"))
    if step["text"]:
        node.add(_line(step["text"]))
    for call in step["calls"]:
        _add_call(node, call)
    if step["last_error"] is not None:
        node.add(_line(f"error {step['last_error']['code']}: {step['last_error']['message']}"))


def _add_call(parent: Tree, call: dict[str, Any]) -> None:
    took = "" if call["seconds"] is None else f", {call['seconds']:.2f} s"
    kind = call["type"]
    detail = call[kind]
    name = detail["name"] if kind == "function" else kind
    node = parent.add(_line(f"{name}, {call['id']}{took}"))
    if kind == "function":
        node.add(_line(detail["arguments"]))
        node.add(
            _line(f"= {detail['output']}" if detail["output"] is not None else "no output yet")
        )
    elif kind == "code_interpreter":
        node.add(_line(detail["input"]))
        for output in detail["outputs"]:
            shown = output["logs"] if output["type"] == "logs" else output["image"]["file_id"]
            node.add(_line(f"= {shown}"))
    else:
        node.add(_line(f"{len(detail['results'] or ())} passages"))


def _line(text: str) -> Text:
    """One line of it: control characters could tell the terminal what to do."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return Text(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}...")
