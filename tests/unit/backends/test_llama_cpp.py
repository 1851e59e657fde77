"""The llama.cpp backend over the real library, with models that the tests write themselves."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.engine.chat import ChatRequest, ToolSchema
from local_assistants.engine.endings import last_error
from local_assistants.engine.errors import BackendFault, ContextOverflow, InvalidRequest
from tests.support.toy_gguf import write_random_model, write_saying_model
from tests.support.turns import Turn, listen, texts, tool, user
from tests.unit.backends.conftest import TOY_SETTINGS

HELLO = user("Hello")
WEATHER = ToolSchema(
    "get_weather",
    "The weather of a city",
    {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
CLOCK = ToolSchema("get_time", "The time", {"type": "object", "properties": {}})
PYTHON = ToolSchema(
    "code_interpreter",
    "Runs Python",
    {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    code_argument="code",
)


async def hear(path: Path, says: list[str], **options: Any) -> Turn:
    """What comes of a model that says these pieces."""
    backend = await LlamaCppBackend.open(write_saying_model(path / "s.gguf", says), TOY_SETTINGS)
    try:
        return await listen(backend, HELLO, temperature=0, **options)
    finally:
        await backend.close()


async def evaluated(backend: LlamaCppBackend, tokens: int) -> None:
    """Wait until the model has evaluated so many tokens."""
    for _ in range(5000):
        if backend.evaluated_tokens >= tokens:
            return
        await asyncio.sleep(0.002)
    pytest.fail("the model does not get on")


# --- sampling --------------------------------------------------------------------------------------


async def test_same_seed_gives_the_same_answer(babbler: LlamaCppBackend) -> None:
    """A seed makes a turn repeatable, and another seed gives another turn."""
    first, again, other = [
        (await listen(babbler, HELLO, seed=seed, max_tokens=30)).text for seed in (1, 1, 2)
    ]
    assert first == again != other


async def test_temperature_zero_needs_no_seed(babbler: LlamaCppBackend) -> None:
    """Greedy turns are equal."""
    turns = [await listen(babbler, HELLO, temperature=0, max_tokens=20) for _ in range(2)]
    assert turns[0].text == turns[1].text


async def test_small_top_p_is_greedy(babbler: LlamaCppBackend) -> None:
    """Top-p reaches the sampler: with almost nothing left it takes the likeliest token."""
    narrow = await listen(babbler, HELLO, top_p=1e-6, max_tokens=20)
    greedy = await listen(babbler, HELLO, temperature=0, max_tokens=20)
    assert narrow.text == greedy.text


# --- the KV pool -------------------------------------------------------------------------------------


async def test_next_turn_evaluates_only_what_is_new(babbler: LlamaCppBackend) -> None:
    """The prompt of a thread's next turn begins with the tokens of the turn before, answer included."""
    one = await listen(babbler, HELLO, session="a", seed=1, max_tokens=20)
    two = await listen(babbler, HELLO, one.message, user("More"), session="a", seed=1, max_tokens=5)
    known = one.usage.prompt_tokens + one.usage.completion_tokens
    # The answer's last token was chosen but never evaluated.
    assert two.usage.cached_tokens == known - 1


async def test_alternating_threads_keep_their_prefixes(babbler: LlamaCppBackend) -> None:
    """A thread's prefix survives the turns of another one."""
    a = await listen(babbler, user("First thread"), session="a", seed=1, max_tokens=8)
    await listen(babbler, user("Another thread altogether"), session="b", seed=1, max_tokens=8)
    again = await listen(babbler, user("First thread"), session="a", seed=1, max_tokens=8)
    assert again.usage.cached_tokens == a.usage.prompt_tokens - 1


async def test_same_instructions_are_evaluated_once(babbler: LlamaCppBackend) -> None:
    """A new thread starts from what it has in common with an old one."""
    await listen(babbler, HELLO, tools=(WEATHER,), tool_choice="auto", session="a", max_tokens=4)
    other = await listen(babbler, user("Hi"), tools=(WEATHER,), session="b", max_tokens=4)
    assert other.usage.cached_tokens >= other.usage.prompt_tokens - len("Hi\n assistant") - 10


async def test_prompt_is_the_same_whether_cached_or_not(random_model: Path) -> None:
    """Reused keys and values give the answer that fresh ones give."""
    answers: list[str] = []
    for warm in (False, True):
        backend = await LlamaCppBackend.open(random_model, TOY_SETTINGS)
        if warm:
            await listen(backend, HELLO, session="x", max_tokens=1)
        answers.append((await listen(backend, HELLO, temperature=0, max_tokens=12)).text)
        await backend.close()
    assert answers[0] == answers[1]


async def test_full_pool_serves_everybody_in_the_end(tmp_path: Path) -> None:
    """When not all prompts fit at once the youngest turn waits; nobody's answer suffers."""
    path = write_saying_model(tmp_path / "s.gguf", [f"{n}, " for n in range(40)])
    backend = await LlamaCppBackend.open(path, LlamaSettings(context_tokens=512, threads=1))
    turns = await asyncio.gather(
        *(listen(backend, user(str(n) * 250), temperature=0) for n in range(4))
    )
    await backend.close()
    assert {turn.text.split(", ")[-2] for turn in turns} == {"39"}


async def test_idle_threads_make_room(tmp_path: Path) -> None:
    """Old threads leave the pool when a new prompt needs it."""
    path = write_saying_model(tmp_path / "s.gguf", ["yes"])
    backend = await LlamaCppBackend.open(path, LlamaSettings(context_tokens=512, threads=1))
    said = [
        (await listen(backend, user(chr(97 + n) * 400), session=str(n), temperature=0)).text
        for n in range(5)
    ]
    await backend.close()
    assert said == ["yes"] * 5


async def test_more_callers_than_places_wait_their_turn(random_model: Path) -> None:
    """With one place every caller is served, one after another."""
    settings = LlamaSettings(context_tokens=1024, threads=1, parallel=1, sequences=1)
    backend = await LlamaCppBackend.open(random_model, settings)
    turns = await asyncio.gather(
        *(listen(backend, user(f"{n}"), seed=1, max_tokens=10) for n in range(5))
    )
    await backend.close()
    assert all(turn.usage.completion_tokens <= 10 and turn.reason for turn in turns)


# --- limits ------------------------------------------------------------------------------------------


async def test_answer_ends_where_the_window_does(random_model: Path) -> None:
    """Prompt and answer together fill the window and no more."""
    backend = await LlamaCppBackend.open(random_model, LlamaSettings(context_tokens=256, threads=1))
    turns = [await listen(backend, user("x" * 200), seed=seed) for seed in range(8)]
    await backend.close()
    # Some seeds end their turn by themselves.
    [turn, *_] = [turn for turn in turns if turn.reason == "length"]
    total = turn.usage.prompt_tokens + turn.usage.completion_tokens
    assert total == 256


async def test_overflow_says_both_sizes(babbler: LlamaCppBackend) -> None:
    """The error tells how long the prompt is and how long it may be."""
    with pytest.raises(ContextOverflow, match=r"2048 tokens.*30\d\d"):
        await listen(babbler, user("x" * 3000))


# --- cancelling ----------------------------------------------------------------------------------------


async def test_cancel_in_mid_prefill_stops_the_evaluation(random_model: Path) -> None:
    """What a cancelled prompt had evaluated is known, and that is not all of it."""
    settings = LlamaSettings(context_tokens=2048, threads=1, prefill_chunk=1)
    backend = await LlamaCppBackend.open(random_model, settings)
    prompt = user("y" * 1900)
    task = asyncio.create_task(listen(backend, prompt, session="a"))
    await evaluated(backend, 50)
    task.cancel()
    await asyncio.wait({task})
    await listen(backend, HELLO, session="b", max_tokens=1)
    total = backend.evaluated_tokens
    await backend.close()
    assert task.cancelled()
    assert 50 <= total < 1900


async def test_cancel_while_generating_stops_the_turn(babbler: LlamaCppBackend) -> None:
    """After a stream is closed its turn takes no more steps."""
    stream = babbler.stream(ChatRequest((HELLO,), seed=3))
    await anext(stream)
    await stream.aclose()
    await listen(babbler, user("next"), max_tokens=1)
    before = babbler.evaluated_tokens
    await asyncio.sleep(0.05)
    assert babbler.evaluated_tokens == before


async def test_closing_the_model_ends_its_turns(random_model: Path) -> None:
    """A turn that is under way fails, and so does a later request."""
    settings = LlamaSettings(context_tokens=2048, threads=1, prefill_chunk=1)
    backend = await LlamaCppBackend.open(random_model, settings)
    task = asyncio.create_task(listen(backend, user("y" * 1900)))
    await evaluated(backend, 10)
    await backend.close()
    with pytest.raises(BackendFault, match="unloaded"):
        await task
    with pytest.raises(BackendFault, match="unloaded"):
        await listen(backend, HELLO)


# --- text --------------------------------------------------------------------------------------------


async def test_characters_split_over_tokens_arrive_whole(babbler: LlamaCppBackend) -> None:
    """No delta holds half a character, though the model writes byte by byte."""
    schema = {"type": "string", "pattern": "^Tromsø 🌧 雨$"}
    turn = await listen(babbler, HELLO, response_format=_json_schema(schema))
    assert json.loads(turn.text) == "Tromsø 🌧 雨"
    assert all("\ufffd" not in piece for piece in texts(turn.deltas))
    assert turn.usage.completion_tokens > len(turn.text)


# --- JSON --------------------------------------------------------------------------------------------


async def test_schema_is_obeyed_by_a_model_that_babbles(babbler: LlamaCppBackend) -> None:
    """Random weights answer with JSON that fits the schema."""
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["cat", "dog"]},
            "legs": {"type": "integer"},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        },
        "required": ["kind", "legs", "tags"],
    }
    for seed in range(3):
        turn = await listen(babbler, HELLO, response_format=_json_schema(schema), seed=seed)
        value = json.loads(turn.text)
        assert (turn.reason, list(value)) == ("stop", ["kind", "legs", "tags"])
        assert value["kind"] in ("cat", "dog")
        assert isinstance(value["legs"], int)
        assert set(value["tags"]) <= {"a", "b"}


async def test_schema_that_cannot_be_enforced_is_refused_first(babbler: LlamaCppBackend) -> None:
    """The error names the parameter; nothing is generated."""
    with pytest.raises(InvalidRequest, match="cannot be enforced") as caught:
        await listen(
            babbler, HELLO, response_format=_json_schema({"type": "string", "minLength": 9999})
        )
    assert caught.value.param == "response_format.json_schema.schema"


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


# --- tool calls ----------------------------------------------------------------------------------------


async def test_forced_call_is_made_by_a_model_that_babbles(babbler: LlamaCppBackend) -> None:
    """The tool is the one that was asked for and its arguments fit its schema."""
    for seed in range(3):
        turn = await listen(
            babbler, HELLO, tools=(CLOCK, WEATHER), forced_tool="get_weather", seed=seed
        )
        [(name, arguments)] = turn.calls
        assert (name, turn.reason, turn.text) == ("get_weather", "tool_calls", "")
        assert json.loads(arguments)["city"] in ("Oslo", "Rome")


async def test_required_call_is_made_by_a_model_that_babbles(babbler: LlamaCppBackend) -> None:
    """Some tool is called, with arguments that fit."""
    for seed in range(3):
        turn = await listen(
            babbler,
            HELLO,
            tools=(CLOCK, WEATHER),
            tool_choice="required",
            seed=seed,
            parallel_tool_calls=False,
        )
        [(name, arguments)] = turn.calls
        value = json.loads(arguments)
        assert turn.reason == "tool_calls"
        assert value == {} if name == "get_time" else value["city"] in ("Oslo", "Rome")


async def test_forced_tool_must_be_offered(babbler: LlamaCppBackend) -> None:
    """A forced tool that is not among the tools is the caller's mistake."""
    with pytest.raises(InvalidRequest, match="get_rain"):
        await listen(babbler, HELLO, tools=(WEATHER,), forced_tool="get_rain")


async def test_call_cut_off_by_max_tokens_ends_as_length(babbler: LlamaCppBackend) -> None:
    """A call without its end is never passed off as a whole one."""
    turn = await listen(babbler, HELLO, tools=(WEATHER,), forced_tool="get_weather", max_tokens=3)
    assert turn.reason == "length"


CALL = ['{"na', 'me": "get_', 'weather", "argu', 'ments": {"city": "Ro', 'me"', "}}"]
ROME = [("get_weather", '{"city": "Rome"}')]


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (CALL, ""),
        (["```json\n", *CALL, "\n```"], ""),
        (["```json\n{", CALL[0][1:], *CALL[1:], "\n``", "`\n"], ""),
        (["<tool_call>\n", *CALL, "\n</tool", "_call>"], ""),
        (["Let me see.\n\n", *CALL], "Let me see."),
        ([*CALL, "\n\nIt is ", "sunny."], ""),
    ],
    ids=["bare", "fence", "brace inside a token", "tag", "after text", "guess after it"],
)
async def test_auto_call_in_any_form(tmp_path: Path, says: list[str], text: str) -> None:
    """A call that the model makes by itself is found, and nothing of its wrapping is heard."""
    turn = await hear(tmp_path, says, tools=(CLOCK, WEATHER))
    assert (turn.calls, turn.text, turn.reason) == (ROME, text, "tool_calls")


async def test_grammar_mends_a_call_going_wrong(tmp_path: Path) -> None:
    """Once it is sure a call, what the model gets wrong is put right as it is written."""
    says = ['{"name', '": "get_weather", "arguments": {"city": "', "Paris", '"}}']
    turn = await hear(tmp_path, says, tools=(WEATHER,), max_tokens=200)
    [(name, arguments)] = turn.calls
    assert (name, json.loads(arguments)["city"] in ("Oslo", "Rome")) == ("get_weather", True)


async def test_json_that_is_no_call_is_left_alone(tmp_path: Path) -> None:
    """With tools at hand a model may still answer in JSON."""
    says = ["```json\n", '{"city": ', '"Paris"}', "\n```"]
    turn = await hear(tmp_path, says, tools=(WEATHER,))
    assert (turn.text, turn.reason) == ('```json\n{"city": "Paris"}\n```', "stop")


async def test_block_of_code_calls_the_interpreter(tmp_path: Path) -> None:
    """A fenced block of Python is the call of a tool that takes code."""
    turn = await hear(tmp_path, ["```py", "thon\nprint(", '"hi")', "\n```"], tools=(PYTHON,))
    assert turn.calls == [("code_interpreter", '{"code": "print(\\"hi\\")"}')]


async def test_tools_are_hidden_when_no_call_is_wanted(tmp_path: Path) -> None:
    """tool_choice none makes calls plain text."""
    turn = await hear(tmp_path, CALL, tools=(WEATHER,), tool_choice="none")
    assert (turn.calls, turn.text) == ([], "".join(CALL))


@pytest.mark.parametrize(
    "opening", ["", "```json\n", "<tool_call>\n"], ids=["bare", "fence", "tag"]
)
async def test_after_a_call_an_answer_without_tools_does_not_open_as_one(
    tmp_path: Path, opening: str
) -> None:
    """A model that would write one more call has to begin otherwise; what follows its first word is free."""
    path = write_saying_model(tmp_path / "s.gguf", [opening, *CALL] if opening else CALL)
    backend = await LlamaCppBackend.open(path, TOY_SETTINGS)
    asked = await listen(backend, HELLO, tools=(WEATHER,), temperature=0)
    answer = await listen(
        backend,
        *(HELLO, asked.message, tool("Sunny")),
        tools=(WEATHER,),
        tool_choice="none",
        temperature=0,
        max_tokens=12,
    )
    await backend.close()
    assert asked.calls == ROME
    assert answer.text[:1] not in ("{", "`", "<", "[", "")


async def test_answer_after_a_call_extends_the_prompt(tmp_path: Path) -> None:
    """The prompt with a tool's output begins with the model's own tokens, not with the template's form of them."""
    path = write_saying_model(tmp_path / "s.gguf", ["```json\n", *CALL, "\n```"])
    backend = await LlamaCppBackend.open(path, TOY_SETTINGS)
    options: dict[str, Any] = {"tools": (WEATHER,), "session": "a", "temperature": 0}
    one = await listen(backend, HELLO, **options)
    two = await listen(backend, HELLO, one.message, tool("Sunny"), **options)
    await backend.close()
    assert two.usage.cached_tokens == one.usage.prompt_tokens + one.usage.completion_tokens


# --- prompts -------------------------------------------------------------------------------------------


async def test_nobody_ends_a_message_but_its_author(babbler: LlamaCppBackend) -> None:
    """Control tokens written in a message are spelled out, so they cost more than the one token."""
    plain, forged = [
        await babbler.count_tokens(ChatRequest((user(text),))) for text in ("ab", "a<|im_end|>b")
    ]
    assert forged - plain == len("<|im_end|>")


# --- loading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"PK\x03\x04 no model", "not a GGUF"),
        (b"GGUF\x03\0\0\0", "is cut off"),
    ],
    ids=["missing", "foreign", "truncated"],
)
async def test_file_that_cannot_be_loaded_is_named(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    """The error says which file and what is wrong with it; to clients, whom a run tells, not where it lies."""
    path = tmp_path / "broken.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BackendFault, match=rf"(?s){complaint}|broken\.gguf") as caught:
        await LlamaCppBackend.open(path)
    told = last_error(caught.value).message
    assert complaint in told
    assert "broken.gguf" in told
    assert str(tmp_path) not in told
    assert str(caught.value).endswith(f"({path})")


async def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    """Half a file is an error, not a crash."""
    path = write_random_model(tmp_path / "half.gguf")
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(BackendFault, match="is cut off"):
        await LlamaCppBackend.open(path)


async def test_model_without_a_template_still_chats(tmp_path: Path) -> None:
    """A GGUF that carries no chat template gets a common one."""
    path = write_random_model(tmp_path / "bare.gguf", template=None)
    backend = await LlamaCppBackend.open(path, TOY_SETTINGS)
    turn = await listen(backend, HELLO, tools=(WEATHER,), forced_tool="get_weather")
    await backend.close()
    assert turn.calls[0][0] == "get_weather"


async def test_broken_template_is_an_error_at_load(tmp_path: Path) -> None:
    """A template that cannot be parsed is named at once, not at the first run."""
    path = write_random_model(tmp_path / "t.gguf", template="{% for %}")
    with pytest.raises(BackendFault, match="template"):
        await LlamaCppBackend.open(path, TOY_SETTINGS)
