"""Assistants: create, read, change, delete. Runs carry their own copy, so nothing here touches a run."""

from typing import Any

from ..core import Core
from ..ingestion import Ingestion
from ..objects import Assistant, CodeInterpreterTool, FileIds, Page, ToolResources
from ..ports import PageQuery, Transaction
from ..requests import CreateAssistant, ModifyAssistant
from .lookup import list_page, must
from .resources import merged, realise

_REPLACED = ("model", "tools", "metadata")  # null means "not given"
_CLEARED = ("name", "description", "instructions", "reasoning_effort")  # null means "none"
_DEFAULTED = {
    "temperature": 1.0,
    "top_p": 1.0,
    "response_format": "auto",
}  # null means "the default"


class Assistants:
    """The assistants of this installation."""

    def __init__(self, core: Core, ingestion: Ingestion) -> None:
        self._core = core
        self._ingestion = ingestion

    async def create(self, body: CreateAssistant) -> Assistant:
        """A new assistant.

        Raises:
            ModelNotFound: no such model is served here.
            InvalidRequest: a file or store named does not exist.
        """
        self._core.models.resolve(body.model)

        def make(tx: Transaction) -> Assistant:
            assistant = Assistant(
                id=self._core.ids.new("assistant"),
                created_at=self._core.now(),
                model=body.model,
                name=body.name,
                description=body.description,
                instructions=body.instructions,
                tools=body.tools,
                top_p=1.0 if body.top_p is None else body.top_p,
                temperature=1.0 if body.temperature is None else body.temperature,
                reasoning_effort=body.reasoning_effort,
                tool_resources=realise(tx, self._core, body.tool_resources, None),
                metadata=body.metadata,
                response_format=body.response_format or "auto",
            )
            assistant = _with_file_list(assistant)
            tx.put(assistant)
            return assistant

        assistant = await self._core.store.write(make)
        self._ingestion.wake()  # the vector_stores helper may have brought files
        return assistant

    async def get(self, assistant_id: str) -> Assistant:
        """One assistant."""
        return await self._core.store.read(lambda tx: must(tx, Assistant, assistant_id))

    async def list(self, query: PageQuery) -> Page:
        """A page of assistants."""
        return await list_page(self._core, Assistant, query, where={})

    async def modify(self, assistant_id: str, body: ModifyAssistant) -> Assistant:
        """Change what was sent, keep the rest."""
        if body.model is not None:
            self._core.models.resolve(body.model)

        def change(tx: Transaction) -> Assistant:
            assistant = must(tx, Assistant, assistant_id)
            update: dict[str, Any] = {}
            for name in body.model_fields_set:
                value = getattr(body, name)
                if name in _CLEARED or (name in _REPLACED and value is not None):
                    update[name] = value
                elif name in _DEFAULTED:
                    update[name] = _DEFAULTED[name] if value is None else value
            if body.tool_resources is not None:
                new = realise(tx, self._core, body.tool_resources, None)
                update["tool_resources"] = merged(assistant.tool_resources, new)
            changed = _with_file_list(assistant.model_copy(update=update))
            tx.put(changed)
            return changed

        return await self._core.store.write(change)

    async def delete(self, assistant_id: str) -> None:
        """Delete it; its threads, messages and runs stay."""

        def drop(tx: Transaction) -> None:
            must(tx, Assistant, assistant_id)
            tx.delete(Assistant, assistant_id)

        await self._core.store.write(drop)


def _with_file_list(assistant: Assistant) -> Assistant:
    """With code_interpreter on, its (empty) file list is shown, as the original does (contract, 1.5)."""
    resources = assistant.tool_resources
    if CodeInterpreterTool() not in assistant.tools or resources.code_interpreter is not None:
        return assistant
    shown = ToolResources(code_interpreter=FileIds(), file_search=resources.file_search)
    return assistant.model_copy(update={"tool_resources": shown})
