"""A scheduler over a real model and context, driven without an event loop."""

import threading
from pathlib import Path
from typing import Any

from local_assistants.backends.llama_cpp.context import NativeContext
from local_assistants.backends.llama_cpp.kv.answers import AnswerMemory
from local_assistants.backends.llama_cpp.kv.sequences import Residents
from local_assistants.backends.llama_cpp.native import NativeModel
from local_assistants.backends.llama_cpp.prompts import PromptWriter
from local_assistants.backends.llama_cpp.scheduling.scheduler import Job, Scheduler
from local_assistants.backends.llama_cpp.scheduling.width import Widths
from local_assistants.backends.llama_cpp.settings import LlamaSettings
from local_assistants.backends.llama_cpp.template import ChatTemplate
from local_assistants.backends.llama_cpp.turn import Fragment, Turn
from local_assistants.engine.chat import ChatRequest, Finish, TextDelta
from local_assistants.engine.errors import AssistantsError
from tests.support.turns import user

PATIENCE = 60.0  # seconds that a test waits for what must come


class Heard:
    """What a job has emitted so far."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.fragments: list[Fragment] = []
        self.errors: list[AssistantsError] = []

    def put(self, item: Fragment | AssistantsError) -> None:
        """The job's emit."""
        with self._changed:
            if isinstance(item, Fragment):
                self.fragments.append(item)
            else:
                self.errors.append(item)
            self._changed.notify_all()

    @property
    def ends(self) -> int:
        """How often the turn has ended."""
        deltas = [delta for fragment in self.fragments for delta in fragment.deltas]
        return len(self.errors) + sum(isinstance(delta, Finish) for delta in deltas)

    @property
    def tokens(self) -> list[int]:
        """The ids of the tokens chosen."""
        return [token for fragment in self.fragments for token in fragment.tokens]

    @property
    def text(self) -> str:
        """All that was said."""
        deltas = (delta for fragment in self.fragments for delta in fragment.deltas)
        return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))

    def over(self) -> "Heard":
        """Wait for the turn's end."""
        return self._wait(lambda: self.ends > 0)

    def said(self, tokens: int) -> "Heard":
        """Wait until the turn has so many tokens, or is over."""
        return self._wait(lambda: len(self.tokens) >= tokens or self.ends > 0)

    def _wait(self, reached: Any) -> "Heard":
        with self._changed:
            assert self._changed.wait_for(reached, PATIENCE), "the turn does not get on"
        return self


class Desk:
    """Takes requests to a model. Everything behind it is the real thing."""

    def __init__(self, path: Path, settings: LlamaSettings, widths: Widths | None = None) -> None:
        self.model = NativeModel(path, settings)
        self.context = NativeContext(self.model, settings)
        vocabulary = self.model.vocabulary
        template = ChatTemplate(self.model.template, bos="<s>", eos="<|im_end|>")
        self._memory = AnswerMemory()
        self._writer = PromptWriter(vocabulary, template, self._memory)
        self.residents = Residents(self.context, settings.sequences, can_rewind=True)
        self.scheduler = Scheduler(
            self.context, self._memory, settings, residents=self.residents, widths=widths
        )

    def job(self, text: str, **options: Any) -> tuple[Job, Heard]:
        """A job for a question, greedy unless told otherwise, not submitted yet."""
        given: dict[str, Any] = {"temperature": 0, **options}
        request = ChatRequest((user(text),), **given)
        prompt = self._writer.write(request)
        turn = Turn(request, prompt, self.model.vocabulary, min_p=0.05)
        heard = Heard()
        tokens = list(prompt.ids)
        return Job(turn, tokens, request.session, heard.put, priority=request.priority), heard

    def ask(self, text: str, **options: Any) -> tuple[Job, Heard]:
        """A submitted job."""
        job, heard = self.job(text, **options)
        self.scheduler.submit(job)
        return job, heard

    def close(self) -> None:
        """Stop and free everything."""
        self.scheduler.close()
        self.context.free()
        self.model.free()
