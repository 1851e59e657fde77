"""Grammars of tool calls and JSON answers.

A demanded call is written as the model's dialect has it. For a call that a model makes by itself there is a wider
grammar, which knows the keys and orders that small models use; it begins at the brace.
"""

from collections.abc import Sequence
from typing import Any

from ....engine.chat import ToolSchema
from ....engine.errors import InvalidRequest
from ..calls.json_object import ARGUMENT_KEYS, NAME_KEYS
from ..dialects import GENERIC, Dialect
from .gbnf import Rules, SchemaRefused, any_text, json_text, literal, one_of
from .schema import schema_rule

_MOST_TOOLS = 200
_FEW_TOOLS = 16  # of more, only the usual forms of a call are mended
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
# Between calls. Models have tokens such as `}},` and a newline glued to braces, and one that is denied them says that
# it is done, where it would have made another call.
_BETWEEN = r"[,;\] \t\r\n]{0,8}"

SPEECH = 'root ::= " "? [^ \\t\\n{<`[] [^\\x00]*'
"""Anything that does not begin as a tool call does, in whatever form: brace, tag, fence, list."""


class CallGrammar:
    """The grammars of one request's tools.

    Raises:
        InvalidRequest: the parameters of a strict tool are beyond what a grammar can hold.
    """

    def __init__(self, tools: Sequence[ToolSchema], dialect: Dialect = GENERIC) -> None:
        if len(tools) > _MOST_TOOLS:
            raise InvalidRequest(f"More than {_MOST_TOOLS} functions cannot be offered at once.")
        self._dialect = dialect
        self._rules = Rules()
        self._roots: dict[str, str] = {}
        for tool in tools:
            self._rules, self._roots[tool.name] = _with_arguments(self._rules, tool)

    def arguments(self, tool: str, before: str = "") -> str:
        """A grammar of the arguments of `tool` after the literal text `before`, and of what may stand behind a call."""
        start = f"{literal(before)} " if before else "ws "
        brace = "" if self._dialect.between else ' ws "}"?'
        return self._rules.text(f"{start}{self._roots[tool]}{brace} {_BETWEEN}")

    def forced(self, tool: str) -> str:
        """A grammar of the arguments of `tool` alone, behind the head of a call."""
        return self._rules.text(f"ws {self._roots[tool]}")

    def required(self, among: Sequence[str] | None = None) -> str:
        """A grammar of a demanded call, of one of the tools in `among`.

        Source code has to come as JSON, too: a small model that may open a block opens one for every call, and writes
        the JSON of the call into it (docs/decisions/0012).
        """
        return self._rules.text(self._required(among))

    def required_or(self, response_format: dict[str, Any]) -> str:
        """A grammar of one call or of the JSON that is wanted."""
        answer = response_rule(self._rules, response_format) or "value"
        return self._rules.text(f"{answer} | {self._required()}")

    def spontaneous(self, before: str = "") -> str:
        """A grammar of a call in any of the forms that begin with a brace, after the literal text `before`."""
        start = f"{literal(before)} " if before else ""
        whole = self._rules.add(one_of(self._forms()))
        return self._rules.text(f'{start}"{{" ws {whole} ws "}}" {_BETWEEN}')

    def named(self) -> str:
        """A grammar of name and arguments behind a tag, for dialects in which a call is no JSON object."""
        return self._rules.text(f"{self._named_call()} {_BETWEEN}")

    def _required(self, among: Sequence[str] | None = None) -> str:
        dialect = self._dialect
        names = [name for name in self._roots if among is None or name in among]
        if dialect.between:
            call = self._named_call(names)
        else:
            call = self._rules.add(one_of(self._object(name) for name in names))
        opening = literal(dialect.opening)
        return f"{opening if dialect.tagged else f'({opening})?'} {call} {_BETWEEN}"

    def _object(self, name: str) -> str:
        key = any_text(('"arguments"', '"parameters"'))
        start = f'"{{" ws {literal(json_text("name"))} ws ":" ws {literal(json_text(name))}'
        return self._rules.add(f'{start} ws "," ws {key} ws ":" ws {self._roots[name]} ws "}}"')

    def _named_call(self, names: Sequence[str] | None = None) -> str:
        # Some versions give each call an id of its own.
        between = f'("[CALL_ID]" [a-zA-Z0-9_-]{{1,64}})? {literal(self._dialect.between)}'
        each = [
            f"{literal(name)} {between} {root}"
            for name, root in self._roots.items()
            if names is None or name in names
        ]
        return self._rules.add(one_of(each))

    def _forms(self) -> list[str]:
        """The inside of a call's object: keys of several kinds, in both orders, nested or not."""
        rules, name_key = self._rules, any_text(json_text(key) for key in NAME_KEYS)
        arguments_key = rules.add(any_text(json_text(key) for key in ARGUMENT_KEYS) + ' ws ":" ws')
        quoted = {literal(json_text(name)): root for name, root in self._roots.items()}
        each = [f'{name} ws "," ws {arguments_key} {root}' for name, root in quoted.items()]
        plain = rules.add(f'{name_key} ws ":" ws {one_of(each)}')
        kind = r'"\"type\"" ws ":" ws "\"function\"" ws "," ws'
        forms = [
            plain,
            f"{kind} {plain}",
            rf'{kind} "\"function\"" ws ":" ws "{{" ws {plain} ws "}}"',
        ]
        for name, root in quoted.items() if len(quoted) <= _FEW_TOOLS else ():
            forms.append(f'{arguments_key} {root} ws "," ws {name_key} ws ":" ws {name}')
            forms.append(f'{name} ws ":" ws {root}')
        return forms


def _with_arguments(rules: Rules, tool: ToolSchema) -> tuple[Rules, str]:
    """The rules with those of a tool's arguments, and their root.

    What a grammar cannot hold is left out, unless the tool is strict.
    """
    schema = {"type": "object", **(tool.parameters or _NO_PARAMETERS)}
    more = rules.copy()
    try:
        return more, schema_rule(more, schema, strict=tool.strict)
    except SchemaRefused as error:
        if tool.strict:
            raise InvalidRequest(
                f"The parameters of the strict function '{tool.name}' cannot be enforced: {error}.",
                param="tools",
            ) from error
        return rules, "object"


def response_rule(rules: Rules, response_format: dict[str, Any]) -> str | None:
    """The rule of the JSON that a response_format asks for, None when it asks for plain text.

    Raises:
        InvalidRequest: the schema is beyond what a grammar can hold.
    """
    kind = response_format.get("type")
    if kind == "json_object":
        return "object"
    if kind != "json_schema":
        return None
    wanted: dict[str, Any] = response_format.get("json_schema") or {}
    try:
        return schema_rule(rules, wanted.get("schema") or {"type": "object"}, strict=True)
    except SchemaRefused as error:
        raise InvalidRequest(
            f"The schema of response_format cannot be enforced: {error}.",
            param="response_format.json_schema.schema",
        ) from error


def response_grammar(response_format: dict[str, Any]) -> str | None:
    """The grammar of the JSON that a response_format asks for, None when it asks for plain text."""
    rules = Rules()
    root = response_rule(rules, response_format)
    return rules.text(root) if root else None
