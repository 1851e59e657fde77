"""Asks the questions of an engine as a program would: a file, an assistant, a thread and a run for each.

It knows nothing of the truth but hands every answer to the judge, and writes each result at once, so that what was
interrupted can be gone on with.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analyst_parts.judge import right
from analyst_parts.questions import Question
from local_assistants.engine.objects import Run
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.engine.services import Services

INSTRUCTIONS = "You are a data analyst. Answer questions about the attached file by running Python."


@dataclass(frozen=True)
class Result:
    """What became of a question."""

    id: str
    asked: str
    right: bool
    answer: str
    status: str
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    set_aside: bool
    calls: Sequence[Mapping[str, Any]] = field(default_factory=list[dict[str, Any]])
    fresh: bool = False

    @property
    def failed_calls(self) -> int:
        """Calls whose code ended in an exception."""
        return sum("Traceback" in call["logs"] or "Error" in call["logs"] for call in self.calls)


class Log:
    """Results of one model in one mode, a line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Result]:
        """What is there already; a half-written last line is left out."""
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [Result(**json.loads(line)) for line in lines if line.endswith("}")]

    def write(self, results: Iterable[Result], *, anew: bool = False) -> None:
        """Add results; with `anew`, instead of what is there."""
        with self._path.open("w" if anew else "a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(result)) + "\n" for result in results)


class Asker:
    """Asks some questions at a time of one model."""

    def __init__(self, services: Services, log: Log, at_once: int) -> None:
        self._services = services
        self._log = log
        self._turn = asyncio.Semaphore(at_once)
        self._assistant_id = ""
        self._file_ids: dict[Path, str] = {}
        self._done = 0

    async def ask(self, asked: Sequence[Question]) -> list[Result]:
        """Ask all; results in the order of the questions."""
        settings = {
            "model": "default",
            "instructions": INSTRUCTIONS,
            "tools": [{"type": "code_interpreter"}],
            "temperature": 0,
        }
        assistant = await self._services.assistants.create(CreateAssistant.model_validate(settings))
        self._assistant_id = assistant.id
        for path in dict.fromkeys(question.path for question in asked):
            file = await self._services.files.create(path.name, "assistants", _chunks(path))
            self._file_ids[path] = file.id
        return await asyncio.gather(*(self._one(question, len(asked)) for question in asked))

    async def _one(self, question: Question, of: int) -> Result:
        async with self._turn:
            began = time.monotonic()
            run = await self._run(question)
            result = await self._result(question, run, time.monotonic() - began)
        self._done += 1
        self._log.write([result])
        verdict = "right" if result.right else "WRONG"
        print(
            f"[{time.strftime('%H:%M:%S')}] {self._done}/{of} {question.id} {verdict}: {len(result.calls)} calls, "
            f"{result.seconds:.0f} s, {run.status.value}",
            flush=True,
        )
        return result

    async def _run(self, question: Question) -> Run:
        body = {
            "assistant_id": self._assistant_id,
            "thread": {
                "messages": [{"role": "user", "content": question.text}],
                "tool_resources": {
                    "code_interpreter": {"file_ids": [self._file_ids[question.path]]}
                },
            },
        }
        runs = self._services.runs
        run = await runs.create_with_thread(CreateThreadAndRun.model_validate(body))
        async for _ in runs.stream(run.id):
            pass
        return await runs.get(run.thread_id, run.id)

    async def _result(self, question: Question, run: Run, seconds: float) -> Result:
        answer = await self._answer(run)
        usage = run.usage
        return Result(
            id=question.id,
            asked=question.text,
            right=run.status.value == "completed" and right(question, answer),
            answer=answer if run.last_error is None else f"{answer}\n({run.last_error.message})",
            status=run.status.value,
            seconds=round(seconds, 1),
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            set_aside=question.set_aside,
            fresh=question.fresh,
            calls=await self._calls(run),
        )

    async def _answer(self, run: Run) -> str:
        """The last message of the run."""
        page = await self._services.messages.list(
            run.thread_id, PageQuery(limit=1, order="desc"), run_id=run.id
        )
        texts = [
            part["text"]["value"]
            for message in page.data
            for part in _wire(message)["content"]
            if part["type"] == "text"
        ]
        return "\n".join(texts)

    async def _calls(self, run: Run) -> list[dict[str, Any]]:
        """Code and logs of every call, in order."""
        page = await self._services.steps.list(
            run.thread_id, run.id, PageQuery(limit=100, order="asc")
        )
        return [
            {
                "code": call["code_interpreter"]["input"],
                "logs": "".join(
                    output.get("logs", "") for output in call["code_interpreter"]["outputs"]
                ),
            }
            for step in page.data
            for call in _wire(step)["step_details"].get("tool_calls", ())
        ]


def _wire(thing: Any) -> dict[str, Any]:
    wire: dict[str, Any] = thing if isinstance(thing, dict) else thing.to_wire()
    return wire


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)
