"""JSON Schemas as grammars.

What a grammar allows always fits the schema, but it may allow less: properties come in the schema's order, additional
ones only where no property is named, very long strings and arrays are cut short. What a grammar cannot hold
is refused, or left out when `strict` is off. Formats other than those in formats.py, and keywords that JSON Schema
does not define, are annotations.
"""

from collections.abc import Sequence
from typing import Any, cast

from .gbnf import Rules, SchemaRefused, any_text, json_text, literal, one_of
from .merging import cannot_overlap, merged, same_json
from .scalars import Schema, count, scalar

_DEEPEST = 60  # schemas in schemas
_MOST_SCHEMAS = 20_000  # combined ones counted as often as they are written
_LARGEST = 200_000  # characters of all rules of a grammar
_MOST_ITEMS = 256
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_SHAPING = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}
_UNSUPPORTED = {
    "": ("not", "if", "$dynamicRef", "$recursiveRef"),
    "object": ("patternProperties", "propertyNames", "minProperties", "dependentRequired")
    + ("dependentSchemas", "dependencies"),
    "array": ("contains", "uniqueItems"),
}


def schema_rule(rules: Rules, schema: Any, *, strict: bool) -> str:
    """Add the rules of a schema and give the name of the first.

    Raises:
        SchemaRefused: a grammar cannot hold it (with `strict`: all of it).
    """
    writer = _Writer(rules, schema, strict=strict)
    try:
        root = rules.add(writer.write(schema, _Place()))
    except RecursionError as error:
        raise SchemaRefused("it is nested too deeply") from error
    writer.check_references()
    _check_size(rules)
    return root


class _Place:
    """Where a schema stands: how deep, and which reference leads there without any text before it."""

    def __init__(self, depth: int = 0, within: str = "") -> None:
        if depth > _DEEPEST:
            raise SchemaRefused(f"it is nested more than {_DEEPEST} levels deep")
        self.depth = depth
        self.within = within

    def inside(self) -> "_Place":
        """Behind a bracket."""
        return _Place(self.depth + 1)

    def beside(self, within: str | None = None) -> "_Place":
        """At the same place in the text."""
        return _Place(self.depth + 1, self.within if within is None else within)


class _Writer:
    """Writes the rules of one schema document."""

    def __init__(self, rules: Rules, document: Any, *, strict: bool) -> None:
        self._rules = rules
        self._document = document
        self._strict = strict
        self._written = 0
        self._references: dict[str, str] = {}  # pointer to rule
        self._leads_to: dict[str, set[str]] = {}  # rules that begin with others

    def write(self, schema: Any, place: _Place) -> str:
        """The expression of a schema."""
        self._written += 1
        if self._written > _MOST_SCHEMAS:
            raise SchemaRefused("it is too large")
        _check_size(self._rules)
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, dict):
            raise SchemaRefused("a part of it is no schema" if schema else "false allows nothing")
        given = cast("Schema", schema)
        self._refuse_unsupported(given, "")
        if "$ref" in given:
            return self._reference(given, place)
        if "allOf" in given:
            parts = [self._resolved(part) for part in _schemas(given["allOf"])]
            rest = {key: value for key, value in given.items() if key != "allOf"}
            return self.write(self._merged([rest, *parts]), place.beside())
        for key in ("anyOf", "oneOf"):
            if key in given:
                return self._alternatives(given, key, place)
        if "const" in given or "enum" in given:
            return self._rules.add(self._constants(given))
        return self._typed(given, place)

    # --- references and combinations ------------------------------------------------------------------

    def _reference(self, schema: Schema, place: _Place) -> str:
        pointer = str(schema["$ref"])
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if not _is_annotation(rest):
            return self.write(self._merged([self._resolved(schema), rest]), place.beside())
        name = self._references.get(pointer)
        known = name is not None
        if name is None:
            name = self._references[pointer] = self._rules.reserve()
        if place.within:
            self._leads_to.setdefault(place.within, set()).add(name)
        if not known:
            target = self._target(pointer)
            self._rules.define(name, self.write(target, _Place(place.depth + 1, name)))
        return name

    def check_references(self) -> None:
        """Refuse definitions that begin with themselves: no text would ever come of them."""
        done: set[str] = set()
        for start in self._leads_to:
            reached, todo = set[str](), [start]
            while todo and start not in done:
                for follower in self._leads_to.get(todo.pop(), ()):
                    if follower == start:
                        raise SchemaRefused("a $ref in it leads back to itself")
                    todo += [follower] if follower not in reached else []
                    reached.add(follower)
            done.add(start)

    def _resolved(self, schema: Any) -> Any:
        """The schema itself, or what it refers to."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return cast("Any", schema)
            schema = self._target(str(cast("Schema", schema)["$ref"]))
        raise SchemaRefused("a $ref in it leads back to itself")

    def _target(self, pointer: str) -> Any:
        if pointer != "#" and not pointer.startswith("#/"):
            raise SchemaRefused(f"{json_text(pointer)} is not in the schema itself")
        found: Any = self._document
        for step in pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isascii() and key.isdigit():
                rows = _as_list(found)
                found = rows[int(key)] if int(key) < len(rows) else None
            else:
                found = cast("Schema", found).get(key) if isinstance(found, dict) else None
        if found is None:
            raise SchemaRefused(f"there is nothing at {json_text(pointer)}")
        return found

    def _merged(self, parts: Sequence[Any]) -> Schema:
        return merged(parts, strict=self._strict)

    def _alternatives(self, schema: Schema, key: str, place: _Place) -> str:
        parts = _schemas(schema[key])
        rest = {name: value for name, value in schema.items() if name != key}
        if key == "oneOf" and self._strict:
            self._check_disjoint([self._resolved(part) for part in parts])
        if _is_annotation(rest):
            written = [self.write(part, place.beside()) for part in parts]
        else:
            whole = [self._merged([rest, self._resolved(part)]) for part in parts]
            written = [self.write(part, place.beside()) for part in whole]
        return one_of(written)

    def _check_disjoint(self, parts: list[Any]) -> None:
        for index, part in enumerate(parts):
            if not all(cannot_overlap(part, other) for other in parts[:index]):
                raise SchemaRefused("alternatives of a oneOf in it may overlap; use anyOf")

    def _refuse_unsupported(self, schema: Schema, kind: str) -> None:
        for key in _UNSUPPORTED.get(kind, ()):
            if self._strict and schema.get(key) is not False and key in schema:
                raise SchemaRefused(f"{json_text(key)} has no counterpart in a grammar")

    # --- one type ---------------------------------------------------------------------------------------

    def _constants(self, schema: Schema) -> str:
        values: Any = schema.get("enum", [schema.get("const")])
        if not isinstance(values, list):
            raise SchemaRefused("an enum in it is no list")
        if "const" in schema:
            values = [value for value in _as_list(values) if same_json(value, schema["const"])]
        wanted = schema.get("type")
        kinds = _as_list(wanted) if wanted is not None else None
        fits = [value for value in _as_list(values) if kinds is None or _is_a(value, kinds)]
        used = [key for keys in _KEYWORDS.values() for key in keys if key in schema]
        if not fits or (used and self._strict):
            raise SchemaRefused("an enum in it is bound further" if fits else "an enum is empty")
        return any_text(json_text(value) for value in fits)

    def _typed(self, schema: Schema, place: _Place) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [name for name in _as_list(kind) if isinstance(name, str)]
            return one_of(self._typed({**schema, "type": name}, place.beside()) for name in kinds)
        if kind is None:
            kind = next((name for name, keys in _KEYWORDS.items() if _has(schema, keys)), "value")
        if kind in ("boolean", "null", "value"):
            return str(kind)
        if kind not in _TYPES:
            raise SchemaRefused(f"{json_text(kind)} is no type")
        self._refuse_unsupported(schema, kind)
        if kind == "object":
            return self._rules.add(self._object(schema, place.inside()))
        if kind == "array":
            return self._rules.add(self._array(schema, place.inside()))
        return scalar(self._rules, schema, kind, strict=self._strict)

    def _array(self, schema: Schema, place: _Place) -> str:
        first = [self.write(part, place) for part in _schemas(schema.get("prefixItems", []), 0)]
        items = schema.get("items", True)
        low = count(schema, "minItems", 0)
        high = count(schema, "maxItems", None)
        if items is False:
            high = len(first) if high is None else min(high, len(first))
        if low > _MOST_ITEMS or (high is not None and low > high):
            raise SchemaRefused(f"minItems is more than maxItems or {_MOST_ITEMS}")
        most = _MOST_ITEMS if high is None and first else min(high or 0, _MOST_ITEMS)
        if high is None and not first:
            return self._list(self.write(items, place), low)
        item = self.write(items, place) if most > len(first) else ""
        return self._tuple([*first[:most], *[item] * (most - len(first))], low)

    def _list(self, item: str, low: int) -> str:
        one = self._rules.add(item)
        more = f'("," ws {one}){{{max(low - 1, 0)},}}'
        inner = f"{one} {more}" if low else f"({one} {more})?"
        return f'"[" ws {inner} ws "]"'

    def _tuple(self, items: list[str], low: int) -> str:
        """A list of at least `low` items, each with its place."""
        rest = ""
        for index in range(len(items) - 1, -1, -1):
            comma = '"," ws ' if index else ""
            following = f" {rest}" if rest else ""
            rest = f"{comma}{items[index]}{following}"
            rest = self._rules.add(rest if index < low else f"({rest})?")
        return f'"[" ws {rest} ws "]"'

    # --- objects ----------------------------------------------------------------------------------------

    def _object(self, schema: Schema, place: _Place) -> str:
        given: Any = schema.get("properties") or {}
        required = [name for name in _as_list(schema.get("required")) if isinstance(name, str)]
        if not isinstance(given, dict):
            raise SchemaRefused("properties are no object")
        properties = cast("Schema", given)
        # An empty list of properties is how functions without parameters are declared.
        others = schema.get("additionalProperties", "properties" not in schema or bool(properties))
        missing = {name: others for name in required if name not in properties}
        if not properties and not missing:
            return self._map(schema, others, place)
        if self._strict and "maxProperties" in schema:
            raise SchemaRefused('"maxProperties" beside properties has no counterpart in a grammar')
        return self._properties({**properties, **missing}, set(required), place)

    def _map(self, schema: Schema, others: Any, place: _Place) -> str:
        most = count(schema, "maxProperties", None)
        if others is False or most == 0:
            return '"{" ws "}"'
        value = self._rules.add(f"pair {self.write(others, place)}")
        if most is None and others in (True, {}):
            return "object"
        repeats = "*" if most is None else f"{{0,{min(most, _MOST_ITEMS) - 1}}}"
        return f'"{{" ws ({value} ("," ws {value}){repeats})? ws "}}"'

    def _properties(self, properties: Schema, required: set[str], place: _Place) -> str:
        """Properties in their order, the optional ones or not: one rule for what may follow each."""
        after, start = "", ""
        for name, part in reversed(properties.items()):
            if part is False and name not in required:
                continue
            key = literal(json_text(name))
            pair = self._rules.add(f'{key} ws ":" ws {self.write(part, place)}')
            tail = f" {after}" if after else ""
            if name in required:
                start = self._rules.add(f"{pair}{tail}")
                after = self._rules.add(f'"," ws {pair}{tail}')
            else:
                skipped = start or '""'
                start = self._rules.add(f"{pair}{tail} | {skipped}")
                after = self._rules.add(f'("," ws {pair})?{tail}')
        return f'"{{" ws {start} ws "}}"'


def _check_size(rules: Rules) -> None:
    if rules.size > _LARGEST:
        raise SchemaRefused("it is too large")


def _schemas(value: Any, least: int = 1) -> list[Any]:
    parts = _as_list(value)
    if len(parts) < least:
        raise SchemaRefused("a list of schemas in it is missing or empty")
    return parts


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, list) else []  # pyright: ignore[reportUnknownArgumentType]


def _has(schema: Schema, keys: Sequence[str]) -> bool:
    return any(key in schema for key in keys)


def _is_annotation(schema: Schema) -> bool:
    keys = {key for group in _KEYWORDS.values() for key in group}
    return not (keys | _SHAPING) & schema.keys()


def _is_a(value: Any, kinds: list[Any]) -> bool:
    """Whether a JSON value is of one of the types."""
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, int | float):
        whole = isinstance(value, int) or value.is_integer()
        return "number" in kinds or ("integer" in kinds and whole)
    if value is None:
        return "null" in kinds
    names = {"str": "string", "list": "array", "dict": "object"}
    return names.get(type(value).__name__) in kinds
