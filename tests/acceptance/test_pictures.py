"""Pictures in messages, all the way from the API to a model with eyes."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_assistants import Engine, Settings
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.models_file import ModelConfig, ModelsConfig
from tests.support.toy_gguf import write_random_model
from tests.support.toy_vision import ROWS, png, write_vision


async def _sent(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def prompt_tokens(engine: Engine, content: list[dict[str, Any]]) -> int:
    """What a run about this message takes of the prompt."""
    services = engine.services
    assistant = await services.assistants.create(CreateAssistant(model="toy"))
    message = {"role": "user", "content": content}
    body = {
        "assistant_id": assistant.id,
        "max_completion_tokens": 256,
        "thread": {"messages": [message]},
    }
    run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(body))
    last = [event async for event in services.runs.stream(run.id)][-1]
    assert last.name in ("thread.run.completed", "thread.run.incomplete")
    return int(last.data["usage"]["prompt_tokens"])


@pytest.mark.parametrize("isolation", ["inline", "process"])
async def test_image_parts_reach_the_model(tmp_path: Path, isolation: Any) -> None:
    """An uploaded file and a data URL are looked at; one that nobody can look at is told of in words."""
    model = ModelConfig(
        str(write_random_model(tmp_path / "toy.gguf")),
        options={"mmproj": write_vision(tmp_path / "eyes.gguf"), "decode_width": 4},
    )
    settings = Settings(models=ModelsConfig((model,)), isolation=isolation, data=tmp_path / "data")
    url = "data:image/png;base64," + base64.b64encode(png(0, 0, 250)).decode()
    text = {"type": "text", "text": "What is it?"}
    async with Engine.open(settings) as engine:
        file = await engine.services.files.create("red.png", "vision", _sent(png(250, 0, 0)))
        nothing = await prompt_tokens(engine, [text])
        uploaded = await prompt_tokens(
            engine, [{"type": "image_file", "image_file": {"file_id": file.id}}, text]
        )
        inline = await prompt_tokens(
            engine, [{"type": "image_url", "image_url": {"url": url}}, text]
        )
        elsewhere = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
        unseen = await prompt_tokens(engine, [elsewhere, text])

    assert [ROWS + 1] * 2 == [uploaded - nothing, inline - nothing]
    assert unseen - nothing > 30
