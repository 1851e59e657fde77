"""A process of its own that loads a model, answers the last of some messages, says what that cost, and ends.

Run as `python -m tests.support.one_turn MODEL FOLDER MESSAGES [--die]`, MESSAGES being a JSON list of roles and texts.
With `--die` it ends by SIGKILL, two idle seconds later, when its conversation has been written to FOLDER.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.engine.chat import ChatMessage
from tests.support.turns import listen

SESSION = "thread_1"
_PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Cost:
    """What a turn came to."""

    text: str
    prompt: int
    cached: int
    evaluated: int


def ask(model: Path, folder: Path, messages: list[tuple[str, str]], *, die: bool = False) -> Cost:
    """Have the last message answered by a new process."""
    command = [sys.executable, "-m", "tests.support.one_turn", str(model), str(folder)]
    command += [json.dumps(messages), *(["--die"] if die else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    expected = -signal.SIGKILL if die else 0
    assert expected == done.returncode, done.stderr
    return Cost(**json.loads(done.stdout))


def _files(folder: Path) -> set[int]:
    """Numbers of the files that are there; a file that takes another's place has another number."""
    return {file.stat().st_ino for file in folder.glob("*/*.state")}


async def _main(model: str, folder: Path, messages: list[ChatMessage], *, die: bool) -> None:
    settings = LlamaSettings(context_tokens=2048, threads=1, park_folder=folder)
    backend = await LlamaCppBackend.open(model, settings)
    before = _files(folder)
    turn = await listen(backend, *messages, session=SESSION, max_tokens=24, temperature=0.0)
    usage = turn.usage
    cost = {
        "text": turn.text,
        "prompt": usage.prompt_tokens,
        "cached": usage.cached_tokens,
        "evaluated": backend.evaluated_tokens,
    }
    sys.stdout.write(json.dumps(cost))
    sys.stdout.flush()
    while die:
        if _files(folder) - before:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0.05)
    await backend.close()


if __name__ == "__main__":
    _MODEL, _FOLDER, _MESSAGES, *_REST = sys.argv[1:]
    _ASKED = [ChatMessage(role=role, content=text) for role, text in json.loads(_MESSAGES)]
    asyncio.run(_main(_MODEL, Path(_FOLDER), _ASKED, die=bool(_REST)))
