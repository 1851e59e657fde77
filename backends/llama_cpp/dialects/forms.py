"""The form of one answer: what is put into the model's mouth, and what the pseudo tool for plain answers is called.

Small models that may call tools call one for "good morning", too. With the router on, answering in words is one more
function, and while tools may be called the model has to choose one of the functions (docs/decisions/0012).
"""

from dataclasses import dataclass
from typing import Any

from ....engine.chat import ChatRequest, ToolSchema
from . import GENERIC, Dialect, Piece, takes_block

JSON_FORMATS = ("json_object", "json_schema")
BLOCK = "```python\n"
REPLY_KEY = "message"
_REPLY_NAMES = ("respond", "respond_to_user", "answer_in_words")
_REPLY = (
    "Say something to the user: greetings, thanks, general knowledge, and whatever needs none of "
    "the other functions."
)
_REPLY_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {REPLY_KEY: {"type": "string"}},
    "required": [REPLY_KEY],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How an answer is to be written.

    Attributes:
        dialect: of the model.
        shown: the tools of the prompt. The same for every turn of a conversation.
        prefix: how the answer begins, whatever the model thinks of it.
        suffix: what completes a forced call for the next prompt.
        reply: the name of the pseudo tool for answers in words; None: there is none.
        routed: whether this answer has to be a call of one of the tools shown.
        block: whether the prefix opens a block of source code.
    """

    dialect: Dialect = GENERIC
    shown: tuple[ToolSchema, ...] = ()
    prefix: tuple[Piece, ...] = ()
    suffix: tuple[Piece, ...] = ()
    reply: str | None = None
    routed: bool = False
    block: bool = False


def form_of(request: ChatRequest, dialect: Dialect, *, router: bool = False) -> AnswerForm:
    """The form of the answer to a request."""
    tools = request.tools
    if request.tool_choice == "none" and not request.forced_tool and not has_called(request):
        return AnswerForm(dialect)
    # Where all that can be called is source code, words or a block of code is choice enough.
    reply = reply_tool(tools) if router and not all(map(takes_block, tools)) else None
    shown = (reply, *tools) if reply else tools
    name = reply.name if reply else None
    if request.forced_tool:
        return _forced(request, AnswerForm(dialect, shown, reply=name))
    routed = request.tool_choice == "auto" and not _wants_json(request) and not _answered(request)
    return AnswerForm(dialect, shown, reply=name, routed=bool(reply) and routed)


def _forced(request: ChatRequest, form: AnswerForm) -> AnswerForm:
    tools = [tool for tool in request.tools if tool.name == request.forced_tool]
    dialect, block = form.dialect, bool(tools) and takes_block(tools[0])
    prefix = [(BLOCK, False)] if block else dialect.head(str(request.forced_tool))
    suffix = [] if block else dialect.tail()
    return AnswerForm(
        dialect, form.shown, tuple(prefix), tuple(suffix), reply=form.reply, block=block
    )


def has_called(request: ChatRequest) -> bool:
    """Whether the conversation has calls: then tools stay in the prompt also while none may be called.

    Without them all of it would have to be evaluated anew, and the answers are as good (docs/decisions/0011). Before
    the first call they are better if the model knows of no tools.
    """
    return any(message.tool_calls for message in request.messages)


def reply_tool(tools: tuple[ToolSchema, ...]) -> ToolSchema:
    """The pseudo tool for answers in words, under a name that no tool has."""
    taken = {tool.name for tool in tools}
    name = next((name for name in _REPLY_NAMES if name not in taken), "answer_" + "_".join(taken))
    return ToolSchema(name, _REPLY, _REPLY_PARAMETERS)


def _wants_json(request: ChatRequest) -> bool:
    return (request.response_format or {}).get("type") in JSON_FORMATS


def _answered(request: ChatRequest) -> bool:
    """Whether a tool has answered since the user spoke last: the model may then say what it likes."""
    for message in reversed(request.messages):
        if message.role in ("user", "tool"):
            return message.role == "tool"
    return False
