"""What clients may not send: one row for each limit and rule, with the place that is named."""

from typing import Any

import pytest
from pydantic import ValidationError

from local_assistants.engine import requests

USER = {"role": "user", "content": "hi"}
ASSISTANT = {"model": "m"}
RUN = {"assistant_id": "asst_1"}


def first_error(kind: type[requests.Body], given: Any) -> tuple[str, str]:
    """Pydantic's error type and dotted path of the first mistake."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(given)
    error = caught.value.errors()[0]
    return error["type"], ".".join(str(part) for part in error["loc"])


REFUSED: list[tuple[type[requests.Body], Any, str, str]] = [
    # assistants
    (requests.CreateAssistant, {}, "missing", "model"),
    (requests.CreateAssistant, {"model": None}, "missing", "model"),
    (requests.CreateAssistant, {"model": 1}, "string_type", "model"),
    (requests.CreateAssistant, [], "model_type", ""),
    (requests.CreateAssistant, ASSISTANT | {"file_ids": []}, "extra_forbidden", "file_ids"),
    (requests.CreateAssistant, ASSISTANT | {"name": "x" * 257}, "string_too_long", "name"),
    (
        requests.CreateAssistant,
        ASSISTANT | {"description": "x" * 513},
        "string_too_long",
        "description",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"instructions": "x" * 256_001},
        "string_too_long",
        "instructions",
    ),
    (requests.CreateAssistant, ASSISTANT | {"temperature": 2.1}, "less_than_equal", "temperature"),
    (
        requests.CreateAssistant,
        ASSISTANT | {"temperature": -1},
        "greater_than_equal",
        "temperature",
    ),
    (requests.CreateAssistant, ASSISTANT | {"top_p": "1"}, "float_type", "top_p"),
    (requests.CreateAssistant, ASSISTANT | {"top_p": True}, "float_type", "top_p"),
    (requests.CreateAssistant, ASSISTANT | {"top_p": float("nan")}, "finite_number", "top_p"),
    (
        requests.CreateAssistant,
        ASSISTANT | {"reasoning_effort": "huge"},
        "literal_error",
        "reasoning_effort",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"metadata": {str(i): "" for i in range(17)}},
        "too_long",
        "metadata",
    ),
    (requests.CreateAssistant, ASSISTANT | {"metadata": {"a": 1}}, "string_type", "metadata.a"),
    (requests.CreateAssistant, ASSISTANT | {"metadata": {"a": None}}, "string_type", "metadata.a"),
    (
        requests.CreateAssistant,
        ASSISTANT | {"metadata": {"a": "x" * 513}},
        "string_too_long",
        "metadata.a",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"metadata": {"x" * 65: ""}},
        "string_too_long",
        f"metadata.{'x' * 65}.[key]",
    ),
    # tools
    (requests.CreateAssistant, ASSISTANT | {"tools": {}}, "tuple_type", "tools"),
    (requests.CreateAssistant, ASSISTANT | {"tools": ["x"]}, "wrong_type", "tools.0"),
    (requests.CreateAssistant, ASSISTANT | {"tools": [{}]}, "missing", "tools.0.type"),
    (requests.CreateAssistant, ASSISTANT | {"tools": [{"type": 1}]}, "string_type", "tools.0.type"),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "retrieval"}]},
        "literal_error",
        "tools.0.type",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "code_interpreter"}] * 129},
        "too_long",
        "tools",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "function"}]},
        "missing",
        "tools.0.function",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "string_pattern_mismatch",
        "tools.0.function.name",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "function", "function": {"name": "x" * 65}}]},
        "string_too_long",
        "tools.0.function.name",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT
        | {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": {"maximum": [float("inf")]}},
                }
            ]
        },
        "finite_number",
        "tools.0.function.parameters",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "file_search", "file_search": {"max_num_results": 51}}]},
        "less_than_equal",
        "tools.0.file_search.max_num_results",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"tools": [{"type": "file_search", "file_search": {"ranking_options": {}}}]},
        "missing",
        "tools.0.file_search.ranking_options.score_threshold",
    ),
    # response_format, tool_choice
    (
        requests.CreateAssistant,
        ASSISTANT | {"response_format": "json"},
        "literal_error",
        "response_format",
    ),
    (
        requests.CreateAssistant,
        ASSISTANT | {"response_format": {"type": "json_schema"}},
        "missing",
        "response_format.json_schema",
    ),
    (requests.CreateRun, RUN | {"tool_choice": "any"}, "literal_error", "tool_choice"),
    (requests.CreateRun, RUN | {"tool_choice": 1}, "wrong_type", "tool_choice"),
    (
        requests.CreateRun,
        RUN | {"tool_choice": {"type": "function"}},
        "missing",
        "tool_choice.function",
    ),
    # tool resources
    (
        requests.CreateThread,
        {"tool_resources": {"code_interpreter": {"file_ids": ["f"] * 21}}},
        "too_long",
        "tool_resources.code_interpreter.file_ids",
    ),
    (
        requests.CreateThread,
        {"tool_resources": {"file_search": {"vector_store_ids": ["a", "b"]}}},
        "too_long",
        "tool_resources.file_search.vector_store_ids",
    ),
    (
        requests.CreateThread,
        {"tool_resources": {"file_search": {"vector_store_ids": ["a"], "vector_stores": [{}]}}},
        "rule",
        "tool_resources.file_search.vector_stores",
    ),
    (
        requests.CreateThread,
        {"tool_resources": {"file_search": {"file_ids": []}}},
        "extra_forbidden",
        "tool_resources.file_search.file_ids",
    ),
    *(
        (
            kind,
            required | {"tool_resources": {"file_search": {"vector_stores": [{}]}}},
            "extra_forbidden",
            "tool_resources.file_search.vector_stores",
        )
        for kind, required in (
            (requests.ModifyAssistant, {}),
            (requests.ModifyThread, {}),
            (requests.CreateThreadAndRun, RUN),
        )
    ),
    # messages
    (requests.CreateMessage, {"content": "hi"}, "missing", "role"),
    (requests.CreateMessage, {"role": "user"}, "missing", "content"),
    (requests.CreateMessage, {"role": "system", "content": "hi"}, "literal_error", "role"),
    (requests.CreateMessage, {"role": "user", "content": []}, "too_short", "content"),
    (requests.CreateMessage, {"role": "user", "content": 5}, "wrong_type", "content"),
    (
        requests.CreateMessage,
        {"role": "user", "content": "x" * 256_001},
        "string_too_long",
        "content",
    ),
    (
        requests.CreateMessage,
        {"role": "user", "content": [{"type": "text", "text": {"value": "hi"}}]},
        "string_type",
        "content.0.text",
    ),
    (
        requests.CreateMessage,
        {"role": "user", "content": [{"type": "refusal", "refusal": "no"}]},
        "literal_error",
        "content.0.type",
    ),
    (
        requests.CreateMessage,
        {
            "role": "user",
            "content": [{"type": "image_file", "image_file": {"file_id": "f", "detail": "max"}}],
        },
        "literal_error",
        "content.0.image_file.detail",
    ),
    (
        requests.CreateMessage,
        USER | {"attachments": [{"file_id": "f", "tools": [{"type": "x"}]}]},
        "literal_error",
        "attachments.0.tools.0.type",
    ),
    (requests.CreateMessage, USER | {"file_ids": ["f"]}, "extra_forbidden", "file_ids"),
    (requests.CreateThread, {"messages": [{"role": "user"}]}, "missing", "messages.0.content"),
    # runs
    (requests.CreateRun, {}, "missing", "assistant_id"),
    (requests.CreateRun, RUN | {"stream": "yes"}, "bool_type", "stream"),
    (
        requests.CreateRun,
        RUN | {"max_prompt_tokens": 0},
        "greater_than_equal",
        "max_prompt_tokens",
    ),
    (requests.CreateRun, RUN | {"max_prompt_tokens": 300.5}, "int_type", "max_prompt_tokens"),
    (requests.CreateRun, RUN | {"max_prompt_tokens": "300"}, "int_type", "max_prompt_tokens"),
    (
        requests.CreateRun,
        RUN | {"truncation_strategy": {"type": "last_messages"}},
        "missing",
        "truncation_strategy.last_messages",
    ),
    (
        requests.CreateRun,
        RUN | {"additional_messages": [USER, {"role": "user"}]},
        "missing",
        "additional_messages.1.content",
    ),
    (
        requests.CreateThreadAndRun,
        RUN | {"additional_instructions": "x"},
        "extra_forbidden",
        "additional_instructions",
    ),
    (requests.SubmitOutputs, {}, "missing", "tool_outputs"),
    (
        requests.SubmitOutputs,
        {"tool_outputs": [{"tool_call_id": "c", "output": {"a": 1}}]},
        "string_type",
        "tool_outputs.0.output",
    ),
    # vector stores
    (requests.CreateVectorStore, {"file_ids": ["f"] * 501}, "too_long", "file_ids"),
    (
        requests.CreateVectorStore,
        {"expires_after": {"anchor": "last_active_at", "days": 366}},
        "less_than_equal",
        "expires_after.days",
    ),
    (
        requests.CreateVectorStore,
        {"chunking_strategy": {"type": "static"}},
        "missing",
        "chunking_strategy.static",
    ),
    (
        requests.CreateVectorStore,
        {"chunking_strategy": {"type": "auto", "static": {}}},
        "missing",
        "chunking_strategy.static.max_chunk_size_tokens",
    ),
    (
        requests.CreateVectorStore,
        {
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51},
            }
        },
        "rule",
        "chunking_strategy.static",
    ),
    (
        requests.CreateStoreFile,
        {"file_id": "f", "attributes": {"a": []}},
        "wrong_type",
        "attributes.a",
    ),
    (
        requests.CreateStoreFile,
        {"file_id": "f", "attributes": {"a": 10**400}},
        "finite_number",
        "attributes.a",
    ),
    (requests.ModifyStoreFile, {}, "missing", "attributes"),
    (requests.CreateBatch, {}, "missing", "file_ids"),
    (requests.CreateBatch, {"file_ids": []}, "too_short", "file_ids"),
    (requests.CreateBatch, {"file_ids": ["f"] * 2001}, "too_long", "file_ids"),
    (requests.CreateBatch, {"file_ids": ["f"], "files": [{"file_id": "f"}]}, "rule", "files"),
    (requests.SearchStore, {}, "missing", "query"),
    (requests.SearchStore, {"query": []}, "too_short", "query"),
    (
        requests.SearchStore,
        {"query": "q", "max_num_results": 0},
        "greater_than_equal",
        "max_num_results",
    ),
    (
        requests.SearchStore,
        {"query": "q", "filters": {"type": "eq", "key": "k", "value": [1]}},
        "wrong_type",
        "filters.value",
    ),
    (
        requests.SearchStore,
        {"query": "q", "filters": {"type": "or", "filters": [{"type": "like"}]}},
        "literal_error",
        "filters.filters.0.type",
    ),
    (
        requests.SearchStore,
        {
            "query": "q",
            "filters": {"type": "and", "filters": [{"type": "in", "key": "k", "value": [{}]}]},
        },
        "wrong_type",
        "filters.filters.0.value.0",
    ),
]


@pytest.mark.parametrize(
    ("kind", "given", "error", "where"),
    REFUSED,
    ids=[f"{kind.__name__}-{error}-{where}"[:90] for kind, _, error, where in REFUSED],
)
def test_refuses(kind: type[requests.Body], given: Any, error: str, where: str) -> None:
    """A mistake is refused and its place is named."""
    assert (error, where) == first_error(kind, given)
