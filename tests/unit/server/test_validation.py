"""What a client reads about its mistake: text, code and parameter."""

from typing import Any

import pytest
from pydantic import ValidationError

from local_assistants.engine import requests
from local_assistants.server.validation import invalid_request

ASSISTANT = {"model": "m"}
RUN = {"assistant_id": "asst_1"}

TOLD: list[tuple[type[requests.Body], Any, str, str, str | None]] = [
    (
        requests.CreateRun,
        {},
        "Missing required parameter: 'assistant_id'.",
        "missing_required_parameter",
        "assistant_id",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{}]},
        "Missing required parameter: 'tools[0].type'.",
        "missing_required_parameter",
        "tools[0].type",
    ),
    (
        requests.CreateThread,
        {"messages": [{"role": "user", "content": "hi", "file_ids": []}]},
        "Unknown parameter: 'messages[0].file_ids'.",
        "unknown_parameter",
        "messages[0].file_ids",
    ),
    (
        requests.CreateThread,
        {"metadata": "x"},
        "Invalid type for 'metadata': expected an object, but got a string instead.",
        "invalid_type",
        "metadata",
    ),
    (
        requests.CreateThread,
        {"metadata": {"a": None}},
        "Invalid type for 'metadata.a': expected a string, but got null instead.",
        "invalid_type",
        "metadata.a",
    ),
    (
        requests.CreateThread,
        ["x"],
        "Invalid type: expected an object, but got an array instead.",
        "invalid_type",
        None,
    ),
    (
        requests.CreateRun,
        RUN | {"max_prompt_tokens": 2.5},
        "Invalid type for 'max_prompt_tokens': expected an integer, but got a decimal instead.",
        "invalid_type",
        "max_prompt_tokens",
    ),
    (
        requests.CreateMessage,
        {"role": "user", "content": {}},
        "Invalid type for 'content': expected a string or an array of content parts, "
        "but got an object instead.",
        "invalid_type",
        "content",
    ),
    (
        requests.CreateMessage,
        {"role": 7, "content": "hi"},
        "Invalid type for 'role': expected one of 'user' and 'assistant', "
        "but got an integer instead.",
        "invalid_type",
        "role",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "retrieval"}]},
        "Invalid value: 'retrieval'. Supported values are: "
        "'code_interpreter', 'file_search', and 'function'.",
        "invalid_value",
        "tools[0].type",
    ),
    (
        requests.CreateMessage,
        {"role": "system", "content": "hi"},
        "Invalid value: 'system'. Supported values are: 'user' and 'assistant'.",
        "invalid_value",
        "role",
    ),
    (
        requests.CreateMessage,
        {"role": "user", "content": "x" * 256_001},
        "Invalid 'content': string too long. Expected a string with maximum length 256000, "
        "but got a string with length 256001 instead.",
        "string_above_max_length",
        "content",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "function", "function": {"name": ""}}]},
        "Invalid 'tools[0].function.name': string too short. Expected a string with minimum "
        "length 1, but got a string with length 0 instead.",
        "string_below_min_length",
        "tools[0].function.name",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "Invalid 'tools[0].function.name': string does not match pattern. Expected a string "
        "that matches the pattern '^[A-Za-z0-9_-]+$'.",
        "invalid_value",
        "tools[0].function.name",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "code_interpreter"}] * 129},
        "Invalid 'tools': array too long. Expected an array with maximum length 128, "
        "but got an array with length 129 instead.",
        "array_above_max_length",
        "tools",
    ),
    (
        requests.CreateMessage,
        {"role": "user", "content": []},
        "Invalid 'content': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead.",
        "empty_array",
        "content",
    ),
    (
        requests.CreateThread,
        {"metadata": {str(i): "" for i in range(17)}},
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead.",
        "object_above_max_properties",
        "metadata",
    ),
    (
        requests.CreateThread,
        {"metadata": {"k" * 65: ""}},
        f"Invalid 'metadata.{'k' * 65}': property name too long. Expected a string with maximum "
        "length 64, but got a string with length 65 instead.",
        "string_above_max_length",
        f"metadata.{'k' * 65}",
    ),
    (
        requests.CreateRun,
        RUN | {"max_completion_tokens": 0},
        "Invalid 'max_completion_tokens': integer below minimum value. "
        "Expected a value >= 1, but got 0 instead.",
        "integer_below_min_value",
        "max_completion_tokens",
    ),
    (
        requests.SearchStore,
        {"query": "q", "max_num_results": 10**100},
        "Invalid 'max_num_results': integer above maximum value. "
        "Expected a value <= 50, but got a very large number instead.",
        "integer_above_max_value",
        "max_num_results",
    ),
    (
        requests.SearchStore,
        {"query": "q", "max_num_results": -(10**400)},
        "Invalid 'max_num_results': integer below minimum value. "
        "Expected a value >= 1, but got a very large number instead.",
        "integer_below_min_value",
        "max_num_results",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"temperature": 3},
        "Invalid 'temperature': decimal above maximum value. "
        "Expected a value <= 2, but got 3 instead.",
        "decimal_above_max_value",
        "temperature",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"top_p": -0.5},
        "Invalid 'top_p': decimal below minimum value. "
        "Expected a value >= 0, but got -0.5 instead.",
        "decimal_below_min_value",
        "top_p",
    ),
    (
        requests.CreateStoreFile,
        {"file_id": "f", "attributes": {"a": float("inf")}},
        "Invalid 'attributes.a': expected a finite number.",
        "invalid_value",
        "attributes.a",
    ),
    (
        requests.CreateBatch,
        {"file_ids": ["f"], "files": [{"file_id": "f"}]},
        "Only one of 'file_ids' and 'files' may be given.",
        "invalid_value",
        "files",
    ),
]


@pytest.mark.parametrize(
    ("kind", "given", "message", "code", "param"),
    TOLD,
    ids=[f"{kind.__name__}-{code}-{(param or '')[:30]}" for kind, _, _, code, param in TOLD],
)
def test_tells_the_mistake(
    kind: type[requests.Body], given: Any, message: str, code: str, param: str | None
) -> None:
    """Each kind of mistake has the API's text, code and dotted path."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(given)
    error = invalid_request(caught.value)
    assert (message, code, param) == (error.message, error.code, error.param)


def test_a_long_value_is_not_echoed_whole() -> None:
    """What a client sent may be of any size; the answer is not."""
    with pytest.raises(ValidationError) as caught:
        requests.CreateMessage.model_validate({"role": "x" * 10_000, "content": "hi"})
    assert len(invalid_request(caught.value).message) < 400
