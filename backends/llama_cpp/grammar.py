"""Grammars (GBNF) for what a model may write: arguments that fit a schema, whole calls, JSON answers.

llama-cpp-python's converter does the schemas. Around it: annotations it trips over are taken out, patterns are
translated, strings may not hold raw control characters, a little white space is allowed, and each schema's rules get a
prefix so that several fit in one grammar. Bounds of numbers are beyond GBNF and are not enforced.

Grammars are made from schemas that users send, so their size is limited before the native parser sees them.
"""

import copy
import json
import re
from collections.abc import Sequence
from typing import Any, cast

from ...engine.chat import ToolSchema
from ...engine.errors import InvalidRequest, MissingDependency
from .patterns import anchored

_ANNOTATIONS = frozenset(
    ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
    + ("$schema", "$id", "$comment")
)
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
_ANYTHING = {"type": ["object", "array", "string", "number", "boolean", "null"]}
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
_MOST_REPEATS = 256  # of an item; each is written out in the grammar
_LARGEST_GRAMMAR = 200_000  # characters
_SPACE = r'| " " | "\n" [ \t]{0,20}'
_BETWEEN = r"[,;\] \t\r\n]{0,8}"  # calls
_CHAR = r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'
_OWN_RULES = {"space": _SPACE, "char": _CHAR, "dot": r'[^"\\\x00-\x1F]'}
_CONSTANTS = re.compile(r'"(?:\\.|[^"\\])*"(?: \| "(?:\\.|[^"\\])*")*')
_GBNF = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-zA-Z0-9-]+')


class SchemaRefused(ValueError):
    """The schema cannot be made into a grammar; the text says why."""


class CallGrammar:
    """The grammars of one request's tools.

    Raises:
        InvalidRequest: the parameters of a strict tool are beyond what a grammar can hold.
    """

    def __init__(self, tools: Sequence[ToolSchema]) -> None:
        self._rules: list[str] = []
        self._roots: dict[str, str] = {}
        for index, tool in enumerate(tools):
            rules, root = _tool_rules(tool, f"t{index}-")
            self._rules += rules
            self._roots[tool.name] = root

    def arguments(self, tool: str) -> str:
        """A grammar of the arguments of `tool`."""
        return _assemble(self._roots[tool], self._rules)

    def calls(self, before: str = "") -> str:
        """A grammar of one call of any of the tools, after the literal text `before`.

        The call may be followed by what stands between calls: models have tokens such as `}},` and a newline glued to
        braces, and one that is denied them says that it is done, where it would have made another call.
        """
        call = " | ".join(_call_rule(name, root) for name, root in self._roots.items())
        prefix = f"{_literal(before)} " if before else ""
        return _assemble(f"{prefix}({call}) {_BETWEEN}", [*self._rules, f"ws ::= {_SPACE}"])

    def calls_or(self, rules: tuple[list[str], str]) -> str:
        """A grammar of one call or of what `rules` (from `response_rules`) describe."""
        others, root = rules
        calls = self.calls().splitlines()
        first = calls[0].removeprefix("root ::= ")
        return _assemble(f"{root} | {first}", [*calls[1:], *others])


def _call_rule(name: str, root: str) -> str:
    key, quoted = _literal('"name"'), _literal(json.dumps(name, ensure_ascii=False))
    arguments = " | ".join(_literal(word) for word in ('"arguments"', '"parameters"'))
    return f'"{{" ws {key} ws ":" ws {quoted} ws "," ws ({arguments}) ws ":" ws {root} ws "}}"'


def response_rules(response_format: dict[str, Any]) -> tuple[list[str], str] | None:
    """Rules and root of the JSON that a response_format asks for, None when it asks for plain text.

    Raises:
        InvalidRequest: the schema is beyond what a grammar can hold.
    """
    kind = response_format.get("type")
    if kind == "json_object":
        return _schema_rules({"type": "object"}, "r-")
    if kind != "json_schema":
        return None
    wanted: dict[str, Any] = response_format.get("json_schema") or {}
    try:
        return _schema_rules(wanted.get("schema") or {"type": "object"}, "r-")
    except SchemaRefused as error:
        raise InvalidRequest(
            f"The schema of response_format cannot be enforced: {error}.",
            param="response_format.json_schema.schema",
        ) from error


SPEECH = 'root ::= " "? [^ \\t\\n{<`[] [^\\x00]*'
"""Anything that does not begin as a tool call does, in whatever form: brace, tag, fence, list."""


def response_grammar(rules: tuple[list[str], str]) -> str:
    """The grammar of `response_rules`."""
    return _assemble(rules[1], rules[0])


def _tool_rules(tool: ToolSchema, prefix: str) -> tuple[list[str], str]:
    try:
        return _schema_rules(tool.parameters or _NO_PARAMETERS, prefix)
    except SchemaRefused as error:
        if tool.strict:
            raise InvalidRequest(
                f"The parameters of the strict function '{tool.name}' cannot be enforced: {error}.",
                param="tools",
            ) from error
        # Not strict: any object will do, as it does where nothing is enforced at all.
        return _schema_rules({"type": "object"}, prefix)


def _assemble(root: str, rules: Sequence[str]) -> str:
    return "\n".join((f"root ::= {root}", *rules))


def _literal(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


# --- one schema ------------------------------------------------------------------------------------


def _schema_rules(schema: dict[str, Any], prefix: str) -> tuple[list[str], str]:
    """Rules for a schema, every name with `prefix`, and the name of the first."""
    try:
        text = json.dumps(_prepared(copy.deepcopy(schema), top=True))
        lines = _convert(text).splitlines()
    except SchemaRefused:
        raise
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SchemaRefused(_first_line(error)) from error
    except RecursionError as error:
        raise SchemaRefused("it is nested too deeply") from error
    lines = [_own_rule(line) for line in (*lines, f"space ::= {_SPACE}")]
    rules = [_renamed(line, prefix) for line in dict.fromkeys(lines)]
    if sum(len(rule) for rule in rules) > _LARGEST_GRAMMAR:
        raise SchemaRefused("it is too large")
    return rules, f"{prefix}root"


def _convert(schema: str) -> str:
    try:
        from llama_cpp.llama_grammar import json_schema_to_gbnf
    except ImportError as error:
        raise MissingDependency(
            "Grammars need llama-cpp-python: pip install llama-cpp-python."
        ) from error
    return str(json_schema_to_gbnf(schema))


def _own_rule(line: str) -> str:
    name, _, rule = line.partition(" ::= ")
    if _CONSTANTS.fullmatch(rule):
        rule = f"({rule}) space"  # every other value may be followed by white space
    return f"{name} ::= {_OWN_RULES.get(name, rule)}"


def _renamed(rule: str, prefix: str) -> str:
    """The rule with a prefix before each rule's name, but not inside literals, classes and counts."""

    def rename(match: re.Match[str]) -> str:
        found = match.group()
        counted = rule[match.start() - 1 : match.start()] in ("{", ",") and found.isdigit()
        return found if found[0] in '"[' or counted else prefix + found

    return _GBNF.sub(rename, rule)


def _prepared(schema: Any, *, top: bool = False) -> Any:
    """The schema without annotations and with everything else as the converter wants it."""
    if isinstance(schema, bool):
        if not schema:
            raise SchemaRefused("a schema that is false allows nothing")
        schema = {}
    if not isinstance(schema, dict):
        raise SchemaRefused("a schema must be an object")
    given = cast("dict[str, Any]", schema)
    _check_sizes(given)
    kept = {key: _part(key, value) for key, value in given.items() if key not in _ANNOTATIONS}
    if not kept:
        return {"type": "object"} if top else dict(_ANYTHING)
    return kept


def _part(key: str, value: Any) -> Any:
    if key in _MAPS and isinstance(value, dict):
        return {name: _prepared(part) for name, part in cast("dict[str, Any]", value).items()}
    if key in _LISTS and isinstance(value, list):
        return [_prepared(part) for part in _as_list(value)]
    if key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
        return _prepared(value)
    return anchored(value) if key == "pattern" and isinstance(value, str) else value


def _as_list(value: Any) -> list[Any]:
    return list(value)


def _check_sizes(schema: dict[str, Any]) -> None:
    for key in _COUNTS:
        count = schema.get(key)
        if isinstance(count, int) and count > _MOST_REPEATS:
            if key.startswith("min"):
                raise SchemaRefused(f"{key} is more than {_MOST_REPEATS}")
            del schema[key]  # longer than any answer: not worth writing out


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else "the converter knows no way"
