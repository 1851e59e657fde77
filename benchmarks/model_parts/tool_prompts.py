"""Twenty questions for the row on the choice of tools: 17 that need exactly one of three tools, 3 that need none.

They were written before anything was tuned to them, and nothing may be fitted to them one by one: a prompt that a model
gets wrong stays as it is. `mentions` is what arguments that make sense hold (any of the words will do); it is shown
beside the figures and no goal.
"""

from dataclasses import dataclass

from local_assistants.engine.chat import ToolSchema

INSTRUCTIONS = (
    "You are the assistant of a small trading company. You can look up the weather, run Python code and search the "
    "company's files. Answer directly when no tool is needed."
)

TOOLS = (
    ToolSchema(
        name="get_weather",
        description="Current weather and today's forecast for a city.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city, such as Lisbon."},
                "unit": {
                    "type": "string",
                    "enum": ["celsius", "fahrenheit"],
                    "description": "Unit of the temperatures.",
                },
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    ),
    ToolSchema(
        name="code_interpreter",
        description="Runs Python code and returns what it prints. For calculations and data.",
        parameters={
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The Python code to run."}},
            "required": ["code"],
            "additionalProperties": False,
        },
        code_argument="code",
    ),
    ToolSchema(
        name="search_files",
        description="Searches the company's documents and returns the passages that fit best.",
        parameters={
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for, in a few words."},
                "kind": {
                    "type": "string",
                    "enum": ["any", "contract", "invoice", "policy", "minutes"],
                    "description": "Kind of document; any if unsure.",
                },
            },
            "required": ["query"],
            "additionalProperties": False,
        },
    ),
)


@dataclass(frozen=True, slots=True)
class ToolPrompt:
    """A question, the tool that answers it (None: no tool should be called), and what its arguments speak of."""

    text: str
    tool: str | None
    mentions: tuple[str, ...] = ()


def _weather(text: str, *mentions: str) -> ToolPrompt:
    return ToolPrompt(text, "get_weather", mentions)


def _code(text: str, *mentions: str) -> ToolPrompt:
    return ToolPrompt(text, "code_interpreter", mentions)


def _search(text: str, *mentions: str) -> ToolPrompt:
    return ToolPrompt(text, "search_files", mentions)


PROMPTS = (
    _weather("What's the weather like in Lisbon right now?", "lisbon"),
    _code("What is 17.5% of 2,348.60?", "2348.6", "2_348.6"),
    _search("What does our travel policy say about flying business class?", "travel", "business"),
    ToolPrompt("Hi there! How are you doing today?", None),
    _weather("I'm flying to Oslo this afternoon. Do I need a warm coat?", "oslo"),
    _code("How many days are there between 14 March 2023 and 2 November 2025?", "2023"),
    _search("Find the invoice we sent to Brandt Logistics in June.", "brandt"),
    _code("Give me the 25th Fibonacci number.", "25", "24"),
    _weather("How hot is it in Phoenix, Arizona, in Fahrenheit?", "phoenix"),
    _search("Who signed the rental contract for the warehouse in Rotterdam?", "warehouse"),
    ToolPrompt("In one sentence, what is a supply chain?", None),
    _code(
        "Our sales were 1200, 950, 1430, 1610 and 1175. Compute the mean and the standard deviation.",
        "1430",
    ),
    _search("What did the board decide about the new office in the last meeting?", "office"),
    _weather("Is it raining in Kyoto at the moment?", "kyoto"),
    _code(
        "If I put 5,000 euros away at 3.2% interest, compounded monthly, how much is it after 8 years?",
        "5000",
        "5_000",
    ),
    _search("Look up the notice period in the supplier agreement with Velazquez & Sons.", "notice"),
    ToolPrompt("Thanks, that was all for today. Have a good evening!", None),
    _code("Count how often each letter occurs in the word 'Mississippi'.", "mississippi"),
    _weather("Compared with a normal November day, is Buenos Aires warm today?", "buenos aires"),
    _search("Which of our documents mention the data retention rules?", "retention"),
)
