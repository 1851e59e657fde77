"""Let the model call functions of this program: both in one turn, their outputs sent back together.

    .venv/bin/local-assistants serve                  # in another terminal
    .venv/bin/python examples/functions.py

The base_url is all that differs from the hosted API.
"""

import json
import os
from collections.abc import Callable

from openai import OpenAI

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
client = OpenAI(base_url=URL, api_key="any")


def get_weather(city: str) -> dict:
    """Tomorrow's weather in a city."""
    return {"city": city, "temperature_celsius": 23, "sky": "light rain"}


def get_exchange_rate(currency: str) -> dict:
    """How much of a currency one US dollar buys."""
    return {"currency": currency, "per_us_dollar": {"JPY": 149.2, "EUR": 0.92}.get(currency)}


def tool(function: Callable, parameter: str, meaning: str) -> dict:
    """A function as the API describes it."""
    properties = {parameter: {"type": "string", "description": meaning}}
    schema = {"type": "object", "properties": properties, "required": [parameter]}
    about = {"name": function.__name__, "description": function.__doc__, "parameters": schema}
    return {"type": "function", "function": about}


FUNCTIONS = {"get_weather": get_weather, "get_exchange_rate": get_exchange_rate}
QUESTION = "What is the weather in Tokyo tomorrow, and how many yen do I get for a dollar?"

assistant = client.beta.assistants.create(
    model=client.models.list().data[0].id,
    instructions="You help travellers. Answer with the figures that the functions return.",
    tools=[tool(get_weather, "city", "a city"), tool(get_exchange_rate, "currency", "JPY, EUR")],
    temperature=0,
)
thread = client.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
while run.status == "requires_action":
    outputs = []
    for call in run.required_action.submit_tool_outputs.tool_calls:
        result = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
        print(f"{call.function.name}({call.function.arguments}) -> {result}")
        outputs.append({"tool_call_id": call.id, "output": json.dumps(result)})
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=outputs
    )
print(client.beta.threads.messages.list(thread.id).data[0].content[0].text.value)
