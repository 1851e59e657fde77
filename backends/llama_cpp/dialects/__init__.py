"""How models write tool calls: one dialect per family, found from what the model's own template makes of a call.

A dialect says what a call looks like when it is demanded (forced or required) and what stands around it. What a model
writes by itself is read more tolerantly, see tool_calls.py: small models keep to no dialect.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, cast

from ....engine.chat import ToolSchema

Piece = tuple[str, bool]  # a text, and whether control tokens in it are meant as such


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of a call: `opening`, name and arguments, `closing`.

    Attributes:
        name: for people.
        opening: what stands before a call (or before a list of calls).
        closing: what stands behind it.
        key: the key of the arguments beside "name" in the call's JSON object.
        between: what stands between name and arguments where a call is no JSON object.
        tagged: whether a demanded call must have the opening, because the model was trained on it. Otherwise the
            model chooses.
    """

    name: str
    opening: str = ""
    closing: str = ""
    key: str = "arguments"
    between: str = ""
    tagged: bool = False

    def head(self, tool: str) -> list[Piece]:
        """A call of `tool` up to its arguments."""
        if self.between:
            return [(self.opening, True), (tool, False), (self.between, True)]
        call = f'{{"name": {json.dumps(tool, ensure_ascii=False)}, "{self.key}":'
        return [(self.opening, True), (call, False)] if self.opening else [(call, False)]

    def tail(self) -> list[Piece]:
        """What completes a call behind its arguments."""
        return [("" if self.between else "}", False), (self.closing, True)]


HERMES = Dialect("hermes", "<tool_call>\n", "\n</tool_call>")
LLAMA = Dialect("llama", key="parameters")
MISTRAL = Dialect("mistral", "[TOOL_CALLS][", "]", tagged=True)
MISTRAL_NAMED = Dialect("mistral-named", "[TOOL_CALLS]", between="[ARGS]", tagged=True)
GEMMA = Dialect("gemma", key="parameters")
GENERIC = Dialect("generic")

PROBE_TOOL = "probe_tool"
_NAMED = re.compile(rf"\[TOOL_CALLS\]\s*{PROBE_TOOL}(?:\[CALL_ID\]\w+)?(\[ARGS\])")
_LISTED = re.compile(r"\[TOOL_CALLS\]\s*\[")
_HERMES = re.compile(r"<tool_call>\s*\{")
_LLAMA = re.compile(rf'"name": ?"{PROBE_TOOL}", ?"parameters":')


def dialect_of(call: str, source: str) -> Dialect:
    """The dialect of a model.

    Args:
        call: what its template makes of a call of `PROBE_TOOL`; "" when the template has no tools.
        source: the template itself.
    """
    if _NAMED.search(call):
        return MISTRAL_NAMED
    listed = _LISTED.search(call)
    if listed:
        return replace(MISTRAL, opening=listed.group())
    if _HERMES.search(call):
        return HERMES
    if _LLAMA.search(call):
        return LLAMA
    return GEMMA if not call and "<start_of_turn>" in source else GENERIC


def takes_block(tool: ToolSchema) -> bool:
    """Whether a fenced block of source code says all that a call of `tool` can say."""
    key, schema = tool.code_argument, tool.parameters
    properties: Any = schema.get("properties")
    if key is None or not isinstance(properties, dict):
        return False
    named = cast("dict[str, Any]", properties)
    if set(named) != {key} or not set(schema.get("required") or ()) <= {key}:
        return False
    code = named[key]
    plain = {"type": "string"}
    described = ("description", "title")
    return isinstance(code, dict) and plain == {
        name: value for name, value in cast("dict[str, Any]", code).items() if name not in described
    }
