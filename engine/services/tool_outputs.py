"""What clients give for the functions a run waits for: checked, shown in the step, and told to the model."""

from collections.abc import Mapping, Sequence

from ..chat import ChatMessage
from ..errors import InvalidRequest
from ..journal import Unit
from ..objects import FunctionCall, RequiredCall, Run, RunStep, ToolCallsDetails
from ..ports import PageQuery
from ..requests import ToolOutput
from ..states import STEP, On


def outputs_for(expected: Sequence[str], given: Sequence[ToolOutput]) -> dict[str, str]:
    """Outputs by call id.

    Raises:
        InvalidRequest: not exactly the expected calls, in the API's words.
    """
    got = [output.tool_call_id for output in given]
    if sorted(got) != sorted(expected):
        raise InvalidRequest(
            f"Expected tool outputs for call_ids {list(expected)}, got {got}", param=None
        )
    return {output.tool_call_id: output.output for output in given}


def complete_function_step(unit: Unit, run: Run, outputs: dict[str, str]) -> None:
    """Fill the outputs into the step that waits for them and complete it."""
    query = PageQuery({"run_id": run.id, "status": STEP.initial}, 100, "asc")
    for step in unit.tx.page(RunStep, query)[0]:
        if not isinstance(step.step_details, ToolCallsDetails):
            continue
        calls = tuple(
            call.model_copy(
                update={"function": call.function.model_copy(update={"output": outputs[call.id]})}
            )
            if isinstance(call, FunctionCall) and call.id in outputs
            else call
            for call in step.step_details.tool_calls
        )
        unit.fire(RunStep, step.id, On.COMPLETE, step_details=ToolCallsDetails(tool_calls=calls))


def answers(
    calls: Sequence[RequiredCall], outputs: Mapping[str, str], note: str
) -> list[ChatMessage]:
    """The outputs as the model reads them, in the order of the calls; `note` under the last one."""
    last = calls[-1].id
    return [
        ChatMessage(
            role="tool",
            content=f"{outputs[call.id]}\n\n{note}"
            if note and call.id == last
            else outputs[call.id],
            tool_call_id=call.id,
            name=call.function.name,
        )
        for call in calls
    ]
