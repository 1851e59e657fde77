"""Whether the right tool is called: ours, against what the template's format gives without help.

The same model answers freely with the same tools in its prompt; its texts are then read once as the template pictures
calls (a tag around the JSON) and once tolerantly (any JSON object with a name and arguments). Greedy, all of them.
"""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

import jsonschema
from _report import Goal, Row

from local_assistants.engine.chat import ChatMessage, ChatRequest
from model_parts.bare import Bare
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import Answer, ask_all
from model_parts.tool_prompts import INSTRUCTIONS, PROMPTS, TOOLS, ToolPrompt

AT_ONCE = 5
ANSWER = 220  # tokens
GOAL = 18
SIDES = {
    "ours": "ours",
    "strict": "free, the template's tags",
    "tolerant": "free, any JSON taken for a call",
}
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_PARAMETERS = {tool.name: tool.parameters for tool in TOOLS}

Calls = list[tuple[str, Any]]
"""Names and arguments; arguments that are no JSON are None."""


async def measure(bench: Bench) -> None:
    """Ours first, then the free texts; nothing here depends on time."""
    prompts = PROMPTS[: bench.size(len(PROMPTS))]
    bench.say(f"{len(prompts)} questions with tools, ours")
    began = time.perf_counter()
    answers = await _ours(bench, prompts)
    bench.add("choice seconds ours", time.perf_counter() - began)
    bench.say(f"{len(prompts)} questions with tools, freely")
    began = time.perf_counter()
    texts = _free(bench, prompts)
    bench.add("choice seconds free", time.perf_counter() - began)
    _judge(bench, "ours", prompts, [_called(answer) for answer in answers])
    _judge(bench, "strict", prompts, [_strict(text) for text in texts])
    _judge(bench, "tolerant", prompts, [_tolerant(text) for text in texts])
    bench.figures.notes["choice texts"] = {"ours": [a.text for a in answers], "free": texts}


async def _ours(bench: Bench, prompts: Sequence[ToolPrompt]) -> list[Answer]:
    answers: list[Answer] = []
    async with bench.ours() as ours:
        for at in range(0, len(prompts), AT_ONCE):
            answers += await ask_all(ours, [_request(each) for each in prompts[at : at + AT_ONCE]])
    return answers


def _called(answer: Answer) -> Calls:
    return [(name, _parsed(text)) for name, text in answer.calls]


def _request(prompt: ToolPrompt) -> ChatRequest:
    messages = (
        ChatMessage(role="system", content=INSTRUCTIONS),
        ChatMessage(role="user", content=prompt.text),
    )
    return ChatRequest(messages, tools=TOOLS, temperature=0, max_tokens=ANSWER)


def _free(bench: Bench, prompts: Sequence[ToolPrompt]) -> list[str]:
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in TOOLS
    ]
    with Bare(bench.path, bench.threads, 4096, AT_ONCE) as bare:
        written = [
            bare.prompt(
                [
                    {"role": "system", "content": INSTRUCTIONS},
                    {"role": "user", "content": each.text},
                ],
                tools,
            )
            for each in prompts
        ]
        texts: list[str] = []
        for at in range(0, len(written), AT_ONCE):
            texts += bare.answers(written[at : at + AT_ONCE], ANSWER)
        return texts


# --- reading free texts ----------------------------------------------------------------------------


def _strict(text: str) -> Calls:
    return [call for inside in _TAGGED.findall(text) for call in _call_of(_parsed(inside))]


def _tolerant(text: str) -> Calls:
    calls: Calls = []
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        found = _call_of(value)
        calls += found
        at = end if found else at + 1
    return calls


def _call_of(value: Any) -> Calls:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return []
    arguments = value.get("arguments", value.get("parameters"))
    return [(value["name"], arguments)] if arguments is not None else []


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# --- judging ---------------------------------------------------------------------------------------


def _judge(bench: Bench, side: str, prompts: Sequence[ToolPrompt], found: list[Calls]) -> None:
    judged = [
        (prompt, calls, {name for name, _ in calls} == ({prompt.tool} - {None}))
        for prompt, calls in zip(prompts, found, strict=True)
    ]
    with_tool = [(prompt, calls) for prompt, calls, right in judged if right and prompt.tool]
    right = sum(right for *_, right in judged)
    bench.add(f"choice {side} right", right)
    bench.add(f"choice {side} called", len(with_tool))
    bench.add(f"choice {side} left", right - len(with_tool))
    bench.add(f"choice {side} valid", _valid([call for calls in found for call in calls]))
    bench.add(f"choice {side} sensible", sum(_mentions(*each) for each in with_tool))
    bench.figures.notes[f"choice {side}"] = [
        {"question": prompt.text, "wanted": prompt.tool, "right": right, "calls": calls}
        for prompt, calls, right in judged
    ]


def _valid(calls: Calls) -> float:
    """Per cent."""
    return 100 * sum(map(_fits, calls)) / len(calls) if calls else 0.0


def _fits(call: tuple[str, Any]) -> bool:
    name, arguments = call
    return name in _PARAMETERS and jsonschema.Draft202012Validator(_PARAMETERS[name]).is_valid(
        arguments
    )


def _mentions(prompt: ToolPrompt, calls: Calls) -> bool:
    said = json.dumps([arguments for _, arguments in calls], ensure_ascii=False).lower()
    return any(word in said.replace(",", "") or word in said for word in prompt.mentions)


def tell(model: str, of: Figures) -> Told:
    """Counts; and the seconds that each way took."""
    what = f"{model}: {len(PROMPTS)} questions with three tools"
    rows: list[Row] = []
    for side, said in SIDES.items():
        told = (
            f"{what}, {said}: right ({of(f'choice {side} called'):.0f} calls of 17, "
            f"{of(f'choice {side} left'):.0f} of 3 left alone)"
        )
        rows.append(Row(told, of(f"choice {side} right"), "of 20"))
        valid = f"{what}, {said}: valid arguments"
        rows.append(Row(valid, of(f"choice {side} valid"), "% of calls"))
        sensible = f"{what}, {said}: right and sensible arguments"
        rows.append(Row(sensible, of(f"choice {side} sensible"), "of 17"))
    rows += [
        Row(f"{what}: seconds, {side}", of(f"choice seconds {side}"), "s")
        for side in ("ours", "free")
    ]
    goals = [
        Goal(f"{what}: right", of("choice ours right"), GOAL, at_least=True),
        Goal(f"{what}: valid arguments (%)", of("choice ours valid"), 100, at_least=True),
    ]
    return Told(rows, goals)


PART = Part("choice", ("1.5b",), measure, tell)
