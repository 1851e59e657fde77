"""What a server is, found out by asking it: its kind, its model, its window, how it counts tokens.

Only questions that the known servers answer without loading or generating anything. What a server does not tell is
left open; the settings decide then.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

from ...engine.errors import BackendFault
from .connection import Answer, Connection
from .faults import TryAgain, status_fault
from .settings import OpenAISettings
from .untrusted import an_object, count, fields, items

_log = logging.getLogger(__name__)
_LARGEST_WINDOW = 1 << 28
_OLLAMA_WINDOW = 4096  # what it gives a model when nobody said otherwise

Kind = Literal["llama.cpp", "vLLM", "Ollama", "LM Studio", "other"]
Counting = Literal["input_tokens", "template", "tokenize", "estimate"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a server.

    Attributes:
        kind: whose server it is.
        model: the name of the model there.
        health_path: what to GET to see whether it is well.
        window: tokens of its context; None: it does not tell.
        vision: whether its model sees pictures; False where it does not tell.
        counting: its way of counting a prompt's tokens.
    """

    kind: Kind
    model: str
    health_path: str
    window: int | None = None
    vision: bool = False
    counting: Counting = "estimate"

    @property
    def obeys_choice(self) -> bool:
        """Whether the server can be trusted with `tool_choice`. Ollama may ignore it."""
        return self.kind != "Ollama"


async def probe(connection: Connection, url: str, settings: OpenAISettings) -> Facts:
    """Find out about the server at `url`.

    Raises:
        TryAgain: it cannot be reached, or is not ready.
        BackendFault: it is no OpenAI-compatible server, or has no model.
    """
    health = await connection.ask("GET", f"{url}/health")
    if health.status in (502, 503, 504):
        raise TryAgain(BackendFault("The model's server is not ready yet."), down=True)
    health_path = "/health" if health.status == 200 else "/v1/models"
    card, model = await _model(connection, url, settings)
    ask = _Asking(connection, url, model)
    if card.get("owned_by") == "llamacpp":
        return await _llama_cpp(ask, card, health_path)
    if _size(card.get("max_model_len")):
        return await _vllm(ask, card, health_path)
    return (
        await _ollama(ask, health_path)
        or await _lm_studio(ask, health_path)
        or Facts("other", model, health_path, _size(card.get("context_length")))
    )


async def _model(
    connection: Connection, url: str, settings: OpenAISettings
) -> tuple[dict[str, Any], str]:
    """What the server lists of the model, and the model's name."""
    answer = await connection.ask("GET", f"{url}/v1/models")
    if answer.status != 200:
        raise _refusal(connection, answer)
    cards = [
        card for card in _objects(answer.fields.get("data")) if isinstance(card.get("id"), str)
    ]
    if not cards and settings.model is None:
        raise BackendFault(
            "The server lists no model at /v1/models. Load one there, or name it in the settings."
        )
    names = [str(card["id"]) for card in cards]
    if settings.model is not None and settings.model not in names:
        _log.info("%s does not list %s; it is asked for all the same", url, settings.model)
        only = cards[0] if len(cards) == 1 else {}
        return only, settings.model
    card = cards[names.index(settings.model)] if settings.model is not None else cards[0]
    return card, str(card["id"])


def _refusal(connection: Connection, answer: Answer) -> Exception:
    return connection.cleaned(status_fault(answer.status, b""))


class _Asking:
    """Questions to one server that it need not understand: no answer is {}."""

    def __init__(self, connection: Connection, url: str, model: str) -> None:
        self._connection = connection
        self._url = url
        self.model = model

    async def get(self, path: str) -> dict[str, Any]:
        return (await self._connection.ask("GET", self._url + path)).fields

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return (await self._connection.ask("POST", self._url + path, body)).fields

    def hello(self) -> dict[str, Any]:
        """The shortest prompt there is, to try a way of counting."""
        return {"model": self.model, "messages": [{"role": "user", "content": "Hello"}]}


async def _llama_cpp(ask: _Asking, card: dict[str, Any], health_path: str) -> Facts:
    props = await ask.get("/props")
    settings = fields(props.get("default_generation_settings"))
    window = _size(settings.get("n_ctx")) or _size(fields(card.get("meta")).get("n_ctx"))
    vision = fields(props.get("modalities")).get("vision") is True
    counting: Counting = "estimate"
    if _size(
        (await ask.post("/v1/chat/completions/input_tokens", ask.hello())).get("input_tokens")
    ):
        counting = "input_tokens"
    elif (await ask.post("/apply-template", ask.hello())).get("prompt"):
        counting = "template"
    return Facts("llama.cpp", ask.model, health_path, window, vision, counting)


async def _vllm(ask: _Asking, card: dict[str, Any], health_path: str) -> Facts:
    counted = _size((await ask.post("/tokenize", ask.hello())).get("count"))
    window = _size(card.get("max_model_len"))
    return Facts(
        "vLLM", ask.model, health_path, window, counting="tokenize" if counted else "estimate"
    )


async def _ollama(ask: _Asking, health_path: str) -> Facts | None:
    if not isinstance((await ask.get("/api/version")).get("version"), str):
        return None
    running = _objects((await ask.get("/api/ps")).get("models"))
    here = [model for model in running if model.get("name") in (ask.model, f"{ask.model}:latest")]
    window = _size(here[0].get("context_length")) if here else None
    shown = await ask.post("/api/show", {"model": ask.model})
    vision = "vision" in items(shown.get("capabilities"))
    return Facts("Ollama", ask.model, health_path, window or _OLLAMA_WINDOW, vision)


async def _lm_studio(ask: _Asking, health_path: str) -> Facts | None:
    models = _objects((await ask.get("/api/v0/models")).get("data"))
    here = [model for model in models if model.get("id") == ask.model]
    if not here:
        return None
    window = _size(here[0].get("loaded_context_length"))
    return Facts("LM Studio", ask.model, health_path, window, here[0].get("type") == "vlm")


def _size(value: object) -> int | None:
    """A number of tokens that a context may have."""
    size = count(value) or 0
    return size if 0 < size < _LARGEST_WINDOW else None


def _objects(value: object) -> list[dict[str, Any]]:
    found = (an_object(item) for item in items(value))
    return [item for item in found if item is not None]
