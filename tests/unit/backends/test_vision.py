"""A model that sees: pictures in prompts, over the real library with eyes that the tests write."""

import asyncio
import base64
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    Finish,
    ImagePart,
    TextDelta,
    TextPart,
    UsageDelta,
)
from local_assistants.engine.errors import BackendFault
from tests.support.toy_gguf import write_random_model
from tests.support.toy_vision import ROWS, png, write_vision

RED, BLUE = (
    "data:image/png;base64," + base64.b64encode(png(*c)).decode()
    for c in ((250, 0, 0), (0, 0, 250))
)


@pytest_asyncio.fixture
async def seeing(tmp_path: Path) -> AsyncIterator[LlamaCppBackend]:
    """The toy model with eyes."""
    async with asyncio.timeout(60):
        backend = await LlamaCppBackend.open(
            write_random_model(tmp_path / "toy.gguf"),
            LlamaSettings(mmproj=write_vision(tmp_path / "eyes.gguf"), decode_width=4),
        )
    yield backend
    await backend.close()


def showing(*urls: str, text: str = "What is it?", **options: object) -> ChatRequest:
    """A request with pictures before its text; chosen greedily unless `options` say otherwise."""
    pictures: list[TextPart | ImagePart] = [ImagePart(url=url) for url in urls]
    content = (*pictures, TextPart(text=text))
    message = ChatMessage(role="user", content=content)
    return ChatRequest((message,), **{"temperature": 0.0, "max_tokens": 12, **options})  # type: ignore[arg-type]


async def said(backend: LlamaCppBackend, request: ChatRequest) -> tuple[str, UsageDelta]:
    """What a turn says, and what it cost."""
    deltas = [delta async for delta in backend.stream(request)]
    assert isinstance(deltas[-1], Finish)
    (usage,) = [delta for delta in deltas if isinstance(delta, UsageDelta)]
    return "".join(each.text for each in deltas if isinstance(each, TextDelta)), usage


async def test_a_model_with_eyes_says_so(seeing: LlamaCppBackend) -> None:
    """The core sends pictures only then."""
    assert seeing.capabilities.vision


async def test_the_answer_depends_on_the_picture(seeing: LlamaCppBackend) -> None:
    """Another picture, another answer; the same one, the same."""
    red, _ = await said(seeing, showing(RED))
    blue, _ = await said(seeing, showing(BLUE))
    again, _ = await said(seeing, showing(RED))

    assert red == again
    assert red != blue


async def test_pictures_count_as_the_rows_that_they_take(seeing: LlamaCppBackend) -> None:
    """In the count before a turn and in its usage."""
    none, one, two = [
        await seeing.count_tokens(showing(*urls)) for urls in ([], [RED], [RED, BLUE])
    ]
    _, usage = await said(seeing, showing(RED, BLUE))

    assert 2 * ROWS + 2 == two - none  # with the line breaks between parts
    assert ROWS + 1 == one - none
    assert two == usage.prompt_tokens


async def test_a_picture_is_not_evaluated_twice(seeing: LlamaCppBackend) -> None:
    """The next turn of a thread reuses its rows, and so does another thread that begins with it."""
    request = showing(RED, session="a")
    answer, first = await said(seeing, request)
    history: Sequence[ChatMessage] = (
        *request.messages,
        ChatMessage(role="assistant", content=answer),
        ChatMessage(role="user", content="And now?"),
    )
    _, second = await said(seeing, ChatRequest(tuple(history), max_tokens=4, session="a"))
    _, other = await said(seeing, showing(RED, session="b"))

    assert 0 == first.cached_tokens
    assert second.cached_tokens >= first.prompt_tokens
    assert other.cached_tokens >= first.prompt_tokens - 1


async def test_another_picture_is_no_common_prefix(seeing: LlamaCppBackend) -> None:
    """Of two prompts that differ in the picture only what comes before it is shared."""
    _, first = await said(seeing, showing(RED))
    _, second = await said(seeing, showing(BLUE))

    assert second.cached_tokens < first.prompt_tokens - ROWS


async def test_pictures_and_texts_share_steps(seeing: LlamaCppBackend) -> None:
    """Turns at the same time say what they say alone."""
    requests = [
        showing(RED),
        showing(BLUE, RED, text="Which?"),
        showing(text="Nothing?"),
        showing(BLUE),
    ]
    together = await asyncio.gather(*(said(seeing, request) for request in requests))
    alone = [await said(seeing, request) for request in requests]

    assert [text for text, _ in alone] == [text for text, _ in together]


@pytest.mark.parametrize(
    "url",
    ["data:image/png;base64,AAAA", "https://example.org/a.png", "data:image/gif;base64,R0lGODlh"],
)
async def test_what_is_no_picture_becomes_words(seeing: LlamaCppBackend, url: str) -> None:
    """A thread with a picture that cannot be looked at can be gone on with: the model reads why."""
    _, usage = await said(seeing, showing(url))

    assert usage.prompt_tokens > await seeing.count_tokens(showing(RED)) + ROWS


async def test_a_damaged_picture_becomes_words(seeing: LlamaCppBackend) -> None:
    """One whose head is fine and whose lines are not, too."""
    torn = base64.b64encode(png(1, 2, 3)[:60] + bytes(40)).decode()

    _, usage = await said(seeing, showing(f"data:image/png;base64,{torn}"))

    assert usage.completion_tokens > 0


async def test_a_cancelled_turn_with_a_picture_leaves_no_harm(seeing: LlamaCppBackend) -> None:
    """The next one answers as ever."""
    before, _ = await said(seeing, showing(RED))
    stream = seeing.stream(showing(BLUE, text="Say " * 50, max_tokens=500))
    await anext(stream)
    await stream.aclose()

    assert before == (await said(seeing, showing(RED)))[0]


async def test_a_model_without_eyes_reads_a_note(tmp_path: Path) -> None:
    """Pictures are words then, and vision is not claimed."""
    backend = await LlamaCppBackend.open(
        write_random_model(tmp_path / "toy.gguf"), LlamaSettings(decode_width=4)
    )
    try:
        _, usage = await said(backend, showing(RED))
        assert not backend.capabilities.vision
        assert usage.prompt_tokens > ROWS + 30
    finally:
        await backend.close()


_WITHOUT_MTMD = """
import sys
from pathlib import Path
sys.modules["llama_cpp.mtmd_cpp"] = None  # as when the library was built without it
from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.engine.errors import MissingDependency
try:
    LlamaCppBackend(Path(sys.argv[1]), LlamaSettings(mmproj=Path(sys.argv[2]), decode_width=4))
except MissingDependency as error:
    print(error.message)
"""


def test_a_library_without_vision_is_named(tmp_path: Path) -> None:
    """With what to do about it; nothing else needs that part."""
    model, eyes = write_random_model(tmp_path / "toy.gguf"), write_vision(tmp_path / "eyes.gguf")
    command = [sys.executable, "-c", _WITHOUT_MTMD, str(model), str(eyes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "built with mtmd (-DLLAVA_BUILD=ON)" in done.stdout


@pytest.mark.parametrize("kind", ["missing", "chat model", "too wide"])
async def test_eyes_that_do_not_fit_are_refused_at_the_start(tmp_path: Path, kind: str) -> None:
    """With the file's name."""
    model = write_random_model(tmp_path / "toy.gguf")
    eyes = {
        "missing": tmp_path / "none.gguf",
        "chat model": model,
        "too wide": write_vision(tmp_path / "wide.gguf", width=96),
    }[kind]

    with pytest.raises(BackendFault, match=eyes.name):
        await LlamaCppBackend.open(model, LlamaSettings(mmproj=eyes, decode_width=4))
