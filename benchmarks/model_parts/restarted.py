"""Another process that goes on with parked threads: a job on stdin, what it came to on stdout. See parked.py."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from local_assistants.engine.chat import ChatMessage
from model_parts import parked
from model_parts.bench import Bench


async def _go_on(job: dict[str, Any]) -> dict[str, Any]:
    model, path, threads, folder, quick = job["bench"]
    bench = Bench(model, Path(path), threads, Path(folder), quick)
    replies: dict[str, Any] = {}
    async with bench.ours(parked.settings(bench)) as ours:
        for name, told in job["threads"].items():
            messages = [ChatMessage.model_validate(message) for message in told]
            answer = await parked.turn(ours, name, messages, job["text"])
            replies[name] = {
                "first": answer.first,
                "cached": answer.usage.cached_tokens,
                "text": answer.text,
            }
    return replies


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_go_on(json.load(sys.stdin)))))
