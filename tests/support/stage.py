"""A model with one sequence, on which turns are run step by step, in the test's own thread."""

from dataclasses import dataclass
from pathlib import Path

from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.context import NativeContext
from local_assistants.backends.llama_cpp.kv.answers import AnswerMemory
from local_assistants.backends.llama_cpp.native import NativeModel
from local_assistants.backends.llama_cpp.prompts import PromptWriter
from local_assistants.backends.llama_cpp.settings import LlamaSettings
from local_assistants.backends.llama_cpp.template import ChatTemplate
from local_assistants.backends.llama_cpp.turn import Turn
from local_assistants.engine.chat import ChatRequest, Delta

_SETTINGS = LlamaSettings(context_tokens=2048, threads=1)


@dataclass
class Said:
    """The tokens of a turn and what each came to."""

    tokens: list[int]
    deltas: list[list[Delta]]


class Stage:
    """A model with one sequence, on which turns are run step by step in this thread."""

    def __init__(self, path: Path, *, router: bool = False) -> None:
        self.model = NativeModel(path, _SETTINGS)
        self.context = NativeContext(self.model, _SETTINGS)
        vocabulary = self.model.vocabulary
        template = ChatTemplate(self.model.template, bos="<s>", eos="<|im_end|>")
        self._memory = AnswerMemory()
        self._writer = PromptWriter(vocabulary, template, self._memory, router=router)
        self._evaluated: list[int] = []

    def turn(self, request: ChatRequest) -> tuple[Turn, list[int]]:
        """A fresh turn and its prompt."""
        prompt = self._writer.write(request)
        turn = Turn(request, prompt, self.model.vocabulary, min_p=0.05)
        return turn, list(prompt.ids)

    def go_on(self, turn: Turn, tokens: list[int], most: int = 150) -> "Said":
        """Let a turn run to its end, or for `most` tokens. `tokens`: the prompt and what was said so far."""
        said = Said([], [])
        while turn.finished is None and len(said.tokens) < most:
            self._evaluate([*tokens, *said.tokens])
            token = turn.choose(self.context, 0)
            said.deltas.append(turn.take(token))
            said.tokens.append(token)
        return said

    def _evaluate(self, tokens: list[int]) -> None:
        """Token by token, so that scores never depend on where a turn was cut."""
        same = 0
        while same < min(len(tokens) - 1, len(self._evaluated)) and (
            tokens[same] == self._evaluated[same]
        ):
            same += 1
        self.context.rewind(0, same)
        for position in range(same, len(tokens)):
            self.context.decode([Span([tokens[position]], position, 0, wants_logits=True)])
        self._evaluated = list(tokens)

    def remember(self, request: ChatRequest, turn: Turn) -> None:
        """Keep the tokens of a finished turn for the next prompt."""
        self._memory.remember(request.session, *turn.answer())

    def text(self, tokens: list[int]) -> str:
        """What tokens say, control tokens included."""
        vocabulary = self.model.vocabulary
        pieces = [vocabulary.written(token).encode() or vocabulary.piece(token) for token in tokens]
        return b"".join(pieces).decode("utf-8", "replace")

    def close(self) -> None:
        """Free the model."""
        self.context.free()
        self.model.free()
