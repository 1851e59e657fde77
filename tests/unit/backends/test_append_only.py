"""The prompt of a turn begins with all tokens of the turn before it: prompt and answer, as they were evaluated.

The engine's own way from a thread to a prompt, with the real library and toy models whose words nobody could foresee.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.kv.token_ids import common_prefix, packed
from local_assistants.backends.llama_cpp.prompts import Prompt
from local_assistants.backends.llama_cpp.turn import Turn
from local_assistants.engine.chat import ChatRequest
from tests.support import chat_templates
from tests.support.engine import CODE, FAST, FUNCTION, House, ScriptedTool, answering, house
from tests.support.toy_gguf import TEMPLATE, write_random_model

SETTINGS = LlamaSettings(context_tokens=8192, threads=1)
TEMPLATES = {
    "toy": TEMPLATE,
    "hermes": chat_templates.HERMES,
    "llama": chat_templates.LLAMA,
    "gemma": chat_templates.GEMMA,
    "plain": chat_templates.PLAIN,
}
CODE_TOOL: dict[str, Any] = {"type": "code_interpreter"}
ADD: dict[str, Any] = {"type": "function", "function": {"name": "add"}}


@dataclass(frozen=True)
class Evaluated:
    """A turn as the model saw it."""

    prompt: Prompt
    turn: Turn

    @property
    def ids(self) -> list[int]:
        """All its tokens: the prompt, and the answer from where it begins, prefilled parts of it included."""
        start = len(self.prompt.ids) - self.prompt.prefilled
        return [*self.prompt.ids[:start], *self.turn.answer()[1]]


class Watched(LlamaCppBackend):
    """The backend, and its turns by session."""

    def watch(self) -> None:
        """Begin."""
        self.turns: defaultdict[str, list[Evaluated]] = defaultdict(list)

    def _prepare(self, request: ChatRequest, said: Sequence[int]) -> tuple[Prompt, Turn]:
        seeded = replace(
            request, seed=sum(map(len, self.turns.values()))
        )  # the same babble every time
        prompt, turn = super()._prepare(seeded, said)
        self.turns[str(request.session)].append(Evaluated(prompt, turn))
        return prompt, turn


def lost(before: Evaluated, after: Evaluated) -> int:
    """Tokens of a turn that the next one does not begin with."""
    return len(before.ids) - common_prefix(packed(before.ids), packed(after.prompt.ids))


async def run(home: House, thread: str, assistant: str, **fields: Any) -> None:
    """One run; functions that it calls are answered."""
    made = await home.run(thread, assistant, max_completion_tokens=70, **fields)
    done = await home.finish(made)
    while done.required_action is not None:
        calls = done.required_action.submit_tool_outputs.tool_calls
        made, after = await home.submit(made, {call.id: "The sum is 3." for call in calls})
        done = await home.finish(made, after)
    assert done.status in ("completed", "incomplete"), done.last_error


@pytest.mark.parametrize("template", TEMPLATES)
async def test_turns_extend_the_turns_before_them(tmp_path: Path, template: str) -> None:
    """Two threads in turns: words, calls demanded and forced, outputs with notes, functions, calls forbidden."""
    path = write_random_model(tmp_path / "model.gguf", context=8192, template=TEMPLATES[template])
    backend = await Watched.open(path, SETTINGS)
    assert isinstance(backend, Watched)
    backend.watch()
    tool = ScriptedTool("code_interpreter", answering("42"))
    settings = replace(FAST, nudges=True)
    choices = ["auto", "required", CODE_TOOL, "none", ADD, "auto", "none"]
    async with house(tmp_path, tools=[tool], settings=settings) as home:
        home.models.current = backend
        assistant = await home.assistant(tools=[CODE, FUNCTION], instructions="Add up.")
        threads = [(await home.thread(f"Question {number}")).id for number in range(2)]
        for number, choice in enumerate(choices):
            for thread in threads:
                await run(home, thread, assistant.id, tool_choice=choice)
                await home.message(thread, f"And {number}?")
    await backend.close()
    for thread in threads:
        turns = backend.turns[thread]
        assert len(choices) < len(turns)  # some called, and went on
        assert [0] * (len(turns) - 1) == [lost(*each) for each in pairwise(turns)]
