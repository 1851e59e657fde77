"""What clients may send: nulls, defaults, stored forms."""

from typing import Any

import pytest
from pydantic import ValidationError

from local_assistants.engine import objects, requests

TEXT = {"type": "text", "text": "hi"}
USER = {"role": "user", "content": "hi"}
ASSISTANT = {"model": "m"}
RUN = {"assistant_id": "asst_1"}


NULLED: list[tuple[type[requests.Body], dict[str, Any]]] = [
    (requests.CreateAssistant, ASSISTANT),
    (requests.ModifyAssistant, {}),
    (requests.CreateThread, {}),
    (requests.ModifyThread, {}),
    (requests.CreateMessage, USER),
    (requests.ModifyMetadata, {}),
    (requests.CreateRun, RUN),
    (requests.CreateThreadAndRun, RUN),
    (requests.SubmitOutputs, {"tool_outputs": []}),
    (requests.CreateVectorStore, {}),
    (requests.ModifyVectorStore, {}),
    (requests.CreateStoreFile, {"file_id": "f"}),
    (requests.CreateBatch, {"file_ids": ["f"]}),
    (requests.SearchStore, {"query": "q"}),
]


@pytest.mark.parametrize(("kind", "required"), NULLED, ids=[kind.__name__ for kind, _ in NULLED])
def test_null_counts_as_not_given(kind: type[requests.Body], required: dict[str, Any]) -> None:
    """Every optional field may be null and then has its default."""
    nulls = {
        field.alias or name: None
        for name, field in kind.model_fields.items()
        if name not in required
    }
    assert (
        kind.model_validate(required).model_dump()
        == kind.model_validate(nulls | required).model_dump()
    )


def test_null_counts_as_not_given_at_any_depth() -> None:
    """Nulls inside tools, content, attachments and resources are dropped, too."""
    body = requests.CreateThread.model_validate(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_file", "image_file": {"file_id": "f", "detail": None}}
                    ],
                    "attachments": [{"file_id": "f", "tools": None}],
                }
            ],
            "tool_resources": {"code_interpreter": None, "file_search": {"vector_stores": None}},
        }
    )
    assert (objects.Attachment(file_id="f"),) == body.messages[0].attachments


def test_null_in_a_modify_body_means_clear() -> None:
    """A nullable field that was sent as null is told from one that was not sent."""
    body = requests.ModifyAssistant.model_validate({"name": None, "model": None, "tools": None})
    assert {"name"} == body.model_fields_set


def test_null_expiry_of_a_store_means_clear() -> None:
    """The expiry of a store can be taken away."""
    body = requests.ModifyVectorStore.model_validate({"expires_after": None})
    assert ({"expires_after"}, None) == (body.model_fields_set, body.expires_after)


def test_tools_come_out_in_stored_form() -> None:
    """Everything the service fills in is filled in, and the stored classes are used."""
    body = requests.CreateAssistant.model_validate(
        ASSISTANT
        | {
            "tools": [
                {"type": "code_interpreter"},
                {"type": "file_search"},
                {"type": "function", "function": {"name": "f", "parameters": None, "strict": None}},
            ]
        }
    )
    assert (
        objects.CodeInterpreterTool(),
        objects.FileSearchTool(),
        objects.FunctionTool(function=objects.FunctionDefinition(name="f")),
    ) == body.tools


def test_stored_tools_can_be_sent_again() -> None:
    """Tools read from an assistant, as objects or as JSON, make the same tools."""
    tools = (
        objects.FileSearchTool(file_search=objects.FileSearchSettings(max_num_results=7)),
        objects.FunctionTool(function=objects.FunctionDefinition(name="f", description="d")),
    )
    as_objects = requests.CreateAssistant(model="m", tools=tools)
    as_json = requests.CreateAssistant.model_validate(
        ASSISTANT | {"tools": [tool.to_wire() for tool in tools]}
    )
    assert (tools, tools) == (as_objects.tools, as_json.tools)


def test_nulls_inside_function_parameters_stay() -> None:
    """A JSON schema may hold null, for example as an enum's value."""
    parameters = {"properties": {"a": {"enum": ["x", None]}}}
    function = {"name": "f", "parameters": parameters}
    body = requests.CreateAssistant.model_validate(
        ASSISTANT | {"tools": [{"type": "function", "function": function}]}
    )
    tool = body.tools[0]
    assert isinstance(tool, objects.FunctionTool)
    assert parameters == tool.function.parameters


def test_a_json_schema_format_keeps_its_wire_names() -> None:
    """The response format is stored as it was sent, without nulls."""
    sent = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    body = requests.CreateRun.model_validate(
        RUN | {"response_format": sent | {"json_schema": sent["json_schema"]}}
    )
    assert sent == body.response_format


@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "auto",
        "required",
        {"type": "code_interpreter"},
        {"type": "file_search"},
        {"type": "function", "function": {"name": "f"}},
    ],
)
def test_takes_every_tool_choice(choice: Any) -> None:
    """All forms of tool_choice pass unchanged."""
    assert choice == requests.CreateRun.model_validate(RUN | {"tool_choice": choice}).tool_choice


def test_plain_text_becomes_one_part() -> None:
    """A string and an array of one text part are stored alike."""
    text = requests.CreateMessage(role="user", content="hi")
    parts = requests.CreateMessage.model_validate({"role": "user", "content": [TEXT]})
    assert (objects.TextContent(text=objects.TextValue(value="hi")),) == text.parts()
    assert text.parts() == parts.parts()


def test_images_come_out_in_stored_form() -> None:
    """Both kinds of image parts keep their detail."""
    body = requests.CreateMessage.model_validate(
        {
            "role": "user",
            "content": [
                {"type": "image_file", "image_file": {"file_id": "f", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
            ],
        }
    )
    assert (
        objects.ImageFileContent(image_file=objects.ImageFile(file_id="f", detail="low")),
        objects.ImageUrlContent(image_url=objects.ImageUrl(url="https://x.test/a.png")),
    ) == body.parts()


def test_chunking_resolves_to_sizes_or_auto() -> None:
    """Auto has no sizes of its own; static brings its two."""
    static = {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 100}
    sizes = requests.ChunkingBody.model_validate({"type": "static", "static": static}).resolved()
    assert None is requests.ChunkingBody(type="auto").resolved()
    assert objects.StaticChunking(**static) == sizes


def test_a_batch_spreads_its_attributes_over_file_ids_only() -> None:
    """With `files`, what stands at the top level is ignored."""
    by_id = requests.CreateBatch.model_validate({"file_ids": ["a"], "attributes": {"k": 1}})
    by_file = requests.CreateBatch.model_validate(
        {"files": [{"file_id": "a"}], "attributes": {"k": 1}}
    )
    assert ({"k": 1}, {}) == (by_id.entries()[0].attributes, by_file.entries()[0].attributes)


def test_attributes_keep_their_types() -> None:
    """Truth values stay truth values, numbers numbers, text text."""
    given = {"a": True, "b": 1.5, "c": "1"}
    body = requests.CreateStoreFile.model_validate({"file_id": "f", "attributes": given})
    assert [(bool, True), (float, 1.5), (str, "1")] == [
        (type(v), v) for v in body.attributes.values()
    ]


def test_filters_pass_as_plain_objects() -> None:
    """Nested filters come out as they went in."""
    given = {
        "type": "and",
        "filters": [
            {"type": "eq", "key": "k", "value": 1},
            {"type": "or", "filters": [{"type": "nin", "key": "k", "value": ["a", 2]}]},
        ],
    }
    assert given == requests.SearchStore.model_validate({"query": "q", "filters": given}).filters


def test_queries_are_always_several() -> None:
    """One query and a list of queries read alike."""
    assert ("q",) == requests.SearchStore(query="q").queries
    assert ("q", "r") == requests.SearchStore.model_validate({"query": ["q", "r"]}).queries


def test_bodies_are_frozen() -> None:
    """What a client sent is not changed on its way through the house."""
    body = requests.CreateRun.model_validate(RUN)
    with pytest.raises(ValidationError):
        setattr(body, "assistant_id", "other")  # noqa: B010 - the plain form does not type-check
