"""What a run's model was told, for people who ask why it answered as it did (an extension).

Made anew from what is stored, with the profiles of files that tools keep; so it shows files as they are now. It does
not know what was left out where a long thread did not fit the model.
"""

from dataclasses import replace
from typing import Any

from ..chat import ChatMessage, ChatRequest
from ..core import Core
from ..objects import Run, Thread
from ..ports import Transaction
from ..prompt import PromptBuilder, ThreadView, read_thread
from .lookup import must


class RunPrompts:
    """The prompts of runs."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def get(self, thread_id: str, run_id: str) -> dict[str, Any]:
        """System text, tools, and the conversation up to the run's last word, in wire form.

        Raises:
            NotFound: no such run on this thread.
        """
        now = self._core.now()

        def read(tx: Transaction) -> tuple[Run, ThreadView]:
            must(tx, Thread, thread_id)
            run = must(tx, Run, run_id, thread_id=thread_id)
            view = read_thread(tx, run, now)
            if view is None:
                raise AssertionError("the thread was there a moment ago, in the same transaction")
            return run, _until(view, run)

        run, view = await self._core.store.read(read)
        return _shown(run, await PromptBuilder(self._core, run).whole(view))


def _until(view: ThreadView, run: Run) -> ThreadView:
    """Without what came after the run's last word; all of it while the run has said nothing."""
    own = [at for at, entry in enumerate(view.entries, 1) if entry.run_id == run.id]
    return replace(view, entries=view.entries[: own[-1]]) if own else view


def _shown(run: Run, request: ChatRequest) -> dict[str, Any]:
    return {
        "object": "thread.run.prompt",
        "thread_id": run.thread_id,
        "run_id": run.id,
        "model": run.model,
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ],
        "messages": [_message(message) for message in request.messages],
    }


def _message(message: ChatMessage) -> dict[str, Any]:
    told = message.model_dump(mode="json", exclude_none=True)
    if not message.tool_calls:
        del told["tool_calls"]
    return told
