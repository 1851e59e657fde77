"""Chapter 3: the model calls two functions of ours in one turn, and answers from what they return.

Everything that talks to the server is the official SDK as anyone would write it; only `base_url` is ours. The functions
return fixed figures: they stand for whatever a program wants its model to reach.
"""

# pyright: reportDeprecated=false
# The API's owners have switched it off, and their SDK says so at every call: that is why this product is here.

import json
from collections.abc import Callable

from openai import OpenAI
from openai.types.beta import FunctionToolParam
from openai.types.beta.threads import RequiredActionFunctionToolCall, Run
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput

from local_assistants.cli.demo import truth
from local_assistants.cli.demo.stage import Live, Stage, how_it_ended, text_of

INSTRUCTIONS = (
    "You help travellers. Answer in one sentence with the figures that the functions return."
)
QUESTION = (
    "I fly to Tokyo tomorrow. What is the weather in Tokyo, "
    "and how many Japanese yen do I get for a US dollar?"
)
_MOST_ROUNDS = 3  # of calls in one run; a model that goes on asking has lost its way
_WEATHER = {"tokyo": (23, "light rain"), "oslo": (4, "snow"), "lima": (19, "fog")}
_RATES = {"JPY": 149.2, "EUR": 0.92, "GBP": 0.79}


def get_weather(city: str) -> dict[str, object]:
    """Tomorrow's weather in a city."""
    celsius, sky = _WEATHER.get(city.split(",")[0].strip().lower(), (None, "unknown city"))
    return {"city": city, "temperature_celsius": celsius, "sky": sky}


def get_exchange_rate(currency: str) -> dict[str, object]:
    """How much of a currency one US dollar buys."""
    return {"currency": currency, "per_us_dollar": _RATES.get(currency.upper(), "unknown currency")}


_FUNCTIONS: dict[str, Callable[..., dict[str, object]]] = {
    "get_weather": get_weather,
    "get_exchange_rate": get_exchange_rate,
}


def _describe(name: str, what: str, parameter: str, meaning: str) -> FunctionToolParam:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": what,
            "parameters": {
                "type": "object",
                "properties": {parameter: {"type": "string", "description": meaning}},
                "required": [parameter],
            },
        },
    }


TOOLS = [
    _describe("get_weather", "Tomorrow's weather in a city", "city", "name of the city"),
    _describe(
        "get_exchange_rate",
        "How much of a currency one US dollar buys",
        "currency",
        "three-letter code of the currency",
    ),
]


def tell(stage: Stage) -> None:
    """Run the chapter. Server errors surface as the SDK's own."""
    client = OpenAI(base_url=f"{stage.address}/v1", api_key="any")
    assistant = client.beta.assistants.create(
        model=stage.model,
        name="Travel desk",
        instructions=INSTRUCTIONS,
        tools=TOOLS,
        temperature=0,
    )
    thread = client.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
    stage.narrator.say("you", QUESTION)
    with (
        stage.ledger.timed("3 the model calls the functions"),
        stage.narrator.waiting("the model reads and thinks"),
        client.beta.threads.runs.stream(
            thread_id=thread.id,
            assistant_id=assistant.id,
            parallel_tool_calls=True,
            event_handler=Live(stage.narrator),
        ) as stream,
    ):
        stream.until_done()
        run = stream.current_run
    _show_calls(stage, run)
    _check_calls(stage, run)
    with stage.ledger.timed("3 the model answers from what they return"):
        for _ in range(_MOST_ROUNDS):
            if run is not None and run.status == "requires_action":
                run = _submit(stage, client, run)
                _show_calls(stage, run)
    _check_answer(stage, client, run)


def _calls(run: Run | None) -> list[RequiredActionFunctionToolCall]:
    """The calls that the run waits for."""
    if run is None or run.required_action is None:
        return []
    return run.required_action.submit_tool_outputs.tool_calls


def _show_calls(stage: Stage, run: Run | None) -> None:
    for call in _calls(run):
        stage.narrator.say("call", f"{call.function.name}({call.function.arguments})")


def _submit(stage: Stage, client: OpenAI, run: Run) -> Run | None:
    """Do what the run waits for, send what the functions return, show how it goes on."""
    outputs: list[ToolOutput] = []
    for call in _calls(run):
        result = json.dumps(_result(call))
        stage.narrator.say("result", result)
        outputs.append({"tool_call_id": call.id, "output": result})
    with (
        stage.narrator.waiting("the model reads and thinks"),
        client.beta.threads.runs.submit_tool_outputs_stream(
            thread_id=run.thread_id,
            run_id=run.id,
            tool_outputs=outputs,
            event_handler=Live(stage.narrator),
        ) as stream,
    ):
        stream.until_done()
        return stream.current_run


def _result(call: RequiredActionFunctionToolCall) -> dict[str, object]:
    try:
        return _FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
    except (KeyError, TypeError, ValueError) as error:  # the model may write anything
        return {"error": f"bad call: {error}"}


def _check_calls(stage: Stage, run: Run | None) -> None:
    calls = _calls(run)
    called = [call.function.name for call in calls]
    seen = ", ".join(called) or how_it_ended(run)
    both = set(_FUNCTIONS) <= set(called)
    stage.ledger.part(both, "one turn calls both functions, and the run waits for us", seen)
    arguments = " ".join(call.function.arguments for call in calls)
    right = "tokyo" in arguments.lower() and "JPY" in arguments
    stage.ledger.answer(right, "fills in the arguments", "truth Tokyo, JPY")


def _check_answer(stage: Stage, client: OpenAI, run: Run | None) -> None:
    completed = run is not None and run.status == "completed"
    stage.ledger.part(completed, "the run goes on and completes", how_it_ended(run))
    if run is None:
        return
    page = client.beta.threads.messages.list(run.thread_id, run_id=run.id)
    answer = "\n".join(map(text_of, page))
    celsius, sky = _WEATHER["tokyo"]
    told = celsius in truth.numbers(answer) or sky in answer.lower()
    right = told and _RATES["JPY"] in truth.numbers(answer)
    stage.ledger.answer(
        right,
        "uses what both functions returned",
        f"truth {sky} or {celsius} degrees, and {_RATES['JPY']} yen",
    )
