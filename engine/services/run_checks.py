"""What a new run has to satisfy beyond the form of its body: its settings fit together, and the queue has room.

Called inside the transaction that stores the run, so that a refused run leaves nothing behind.
"""

import logging
from dataclasses import replace

from ..chat import ChatRequest
from ..core import Core
from ..errors import InvalidRequest, ModelNotFound, RateLimited, UnsuitedModel
from ..objects import Assistant, FunctionTool, Message, Run
from ..ports import PageQuery, Transaction
from ..prompt import function_schemas
from ..requests import CreateRun, CreateThreadAndRun

_log = logging.getLogger("local_assistants.run")
_SMALL_BUDGET = 256  # the hosted service's own least (contract, A13)
_PAGE = 100
_MOST_PAGES = 10  # messages beyond these are taken on trust: nobody else can write while this looks


def check_run(tx: Transaction, core: Core, run: Run) -> None:
    """Refuse a run that could not be carried out as asked; its thread's messages are stored already.

    Raises:
        InvalidRequest: tool_choice names a tool that the run has not, or JSON is asked for and nowhere mentioned.
        RateLimited: as many of the project's runs are queued as this server takes.
    """
    _check_queue(tx, core)
    _check_choice(run)
    _check_json_mode(tx, run)
    for name in ("max_prompt_tokens", "max_completion_tokens"):
        budget = getattr(run, name)
        if budget is not None and budget < _SMALL_BUDGET:
            _log.warning("run %s: %s of %d is hardly enough for a turn", run.id, name, budget)


async def check_schemas(core: Core, body: CreateRun | CreateThreadAndRun) -> None:
    """Refuse a run whose schemas its model could never keep to. Outside of any transaction: it may take a moment.

    Raises:
        InvalidRequest: names the schema and what is wrong with it.
    """
    assistant = await core.store.read(lambda tx: tx.get(Assistant, body.assistant_id))
    if assistant is None:
        return  # said with the other things that are missing
    wanted = assistant.response_format if body.response_format is None else body.response_format
    tools = function_schemas(assistant.tools if body.tools is None else body.tools)
    strict = tuple(tool for tool in tools if tool.strict)
    response_format = wanted if isinstance(wanted, dict) else None
    if not strict and response_format is None:
        return
    try:
        model = core.models.resolve(body.model or assistant.model)
    except (ModelNotFound, UnsuitedModel):
        return
    await core.models.validate(model, ChatRequest((), strict, response_format=response_format))


def _check_queue(tx: Transaction, core: Core) -> None:
    most = core.settings.max_queued_runs
    if tx.count_queued() >= most:
        raise RateLimited(
            f"{most} runs are waiting already, and this server queues no more (setting max_queued_runs). "
            "Try again in a moment."
        )


def _check_choice(run: Run) -> None:
    choice = run.tool_choice
    if choice == "required" and not run.tools:
        raise _choice_refused("'required' needs at least one tool, and the run has none")
    if not isinstance(choice, dict):
        return
    functions = {tool.function.name for tool in run.tools if isinstance(tool, FunctionTool)}
    if choice["type"] != "function":
        if choice["type"] not in {tool.type for tool in run.tools}:
            raise _choice_refused(f"the run has no tool '{choice['type']}'")
    elif (name := choice["function"]["name"]) not in functions:
        raise _choice_refused(f"the run has no function named '{name}'")


def _choice_refused(why: str) -> InvalidRequest:
    message = f"Invalid value for 'tool_choice': {why}."
    return InvalidRequest(message, code="invalid_value", param="tool_choice")


def _check_json_mode(tx: Transaction, run: Run) -> None:
    wanted = run.response_format
    if not isinstance(wanted, dict) or wanted.get("type") != "json_object":
        return
    if not _says_json(run.instructions or "") and not _messages_say_json(tx, run.thread_id):
        raise InvalidRequest(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


def _messages_say_json(tx: Transaction, thread_id: str) -> bool:
    query = PageQuery({"thread_id": thread_id}, _PAGE)
    for _ in range(_MOST_PAGES):
        page, more = tx.page(Message, query)
        if any(_says_json(message.text) for message in page):
            return True
        if not more:
            return False
        query = replace(query, after=page[-1].id)
    return True


def _says_json(text: str) -> bool:
    return "json" in text.lower()
