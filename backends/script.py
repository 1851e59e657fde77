"""The scripts that the scripted backend plays: their form, and what is said when one is not well-formed.

Documented for users in docs/scripted-backend.md. Knows nothing of playing them.
"""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ..engine.errors import BackendFault

_WAYS_TO_ACT = ("text", "tool_calls", "error", "hang")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ScriptedCall(_Part):
    """A tool call. `arguments` is an object, or a string that is sent as it stands (to be invalid on purpose)."""

    name: str
    arguments: dict[str, JsonValue] | str = Field(default_factory=dict[str, JsonValue])


class ScriptedError(_Part):
    """The turn fails with this API error code and message."""

    code: str = "server_error"
    message: str = "The script says that the model fails here."


class ScriptedUsage(_Part):
    """Token counts to report in place of the counted ones."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cached_tokens: int = Field(default=0, ge=0)


class ScriptedTurn(_Part):
    """One model turn, in the order in which it is played: delay, text, calls, then error or hang.

    `delay` is in seconds. `truncate` cuts the last call's arguments (or the text, without calls) after that many
    characters and ends the turn as if it had run out of tokens.
    """

    text: str = ""
    tool_calls: tuple[ScriptedCall, ...] = Field(default=(), strict=False)
    delay: float = Field(default=0.0, ge=0)
    tokens_per_second: float | None = Field(default=None, gt=0)
    error: ScriptedError | None = None
    hang: bool = False
    truncate: int | None = Field(default=None, ge=0)
    usage: ScriptedUsage | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "ScriptedTurn":
        if not self.model_fields_set & set(_WAYS_TO_ACT):
            raise ValueError(f"needs at least one of {', '.join(_WAYS_TO_ACT)}")
        return self


class Script(_Part):
    """A whole script."""

    turns: tuple[ScriptedTurn, ...] = Field(min_length=1, strict=False)
    context_window: int = Field(default=32768, gt=0)


def read_script(path: Path) -> Script:
    """Read a script file.

    Raises:
        BackendFault: the file cannot be read or is no script; says where.
    """
    try:
        data: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackendFault(
            f"Cannot read the script {path.name}: {error.strerror}.", detail=str(path)
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BackendFault(f"{path.name} is not valid YAML: {error}", detail=str(path)) from error
    return check_script(data, path.name, detail=str(path))


def check_script(data: object, source: str, *, detail: str = "") -> Script:
    """The script in `data`; `source` names it in errors, `detail` is where it lies.

    Raises:
        BackendFault: it is not well-formed; names turn and key.
    """
    if not isinstance(data, dict):
        raise BackendFault(f"{source}: a script is a mapping with the key 'turns'.", detail=detail)
    try:
        return Script.model_validate(data)
    except ValidationError as error:
        raise BackendFault(f"{source}: {_explain(error)}", detail=detail) from error


def _explain(error: ValidationError) -> str:
    """The first mistake, with turn and key as a person counts them."""
    first = error.errors()[0]
    path = list(first["loc"])
    place: list[str] = []
    if path[:1] == ["turns"] and len(path) > 1 and isinstance(path[1], int):
        place.append(f"turn {path[1] + 1}")
        path = path[2:]
    if path:
        place.append("key " + ".".join(str(part) for part in path))
    said = first["msg"].removeprefix("Value error, ")
    complaint = "unknown key" if first["type"] == "extra_forbidden" else said
    return f"{', '.join(place) or 'script'}: {complaint}."
