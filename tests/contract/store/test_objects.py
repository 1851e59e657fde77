"""Objects: put, get, delete; every kind comes back as it went in."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_assistants.engine import objects
from local_assistants.engine.errors import StorageFault, ThreadBusy
from local_assistants.engine.ports import Store
from local_assistants.engine.states import RunStatus, StepStatus, UploadStatus
from tests.contract.store import samples
from tests.contract.store.conftest import put

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MAPS = st.dictionaries(TEXT, TEXT, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.dictionaries(TEXT, JSON, max_size=3)
FUNCTIONS = st.builds(
    objects.FunctionDefinition, name=TEXT, description=st.none() | TEXT, parameters=SCHEMAS
)
TOOLS = st.lists(
    st.just(objects.CodeInterpreterTool())
    | st.builds(
        objects.FileSearchTool,
        file_search=st.builds(
            objects.FileSearchSettings, max_num_results=st.none() | st.integers(1, 50)
        ),
    )
    | st.builds(objects.FunctionTool, function=FUNCTIONS),
    max_size=3,
).map(tuple)
RESOURCES = st.builds(
    objects.ToolResources,
    code_interpreter=st.none()
    | st.builds(objects.FileIds, file_ids=st.lists(TEXT, max_size=2).map(tuple)),
    file_search=st.none()
    | st.builds(objects.VectorStoreIds, vector_store_ids=st.lists(TEXT, max_size=2).map(tuple)),
)
RUNS = st.builds(
    samples.run,
    status=st.sampled_from(RunStatus),
    instructions=st.none() | TEXT,
    tools=TOOLS,
    tool_resources=RESOURCES,
    metadata=MAPS,
    expires_at=st.none() | st.integers(0, 2**53),
    usage=st.none() | st.builds(objects.Usage.of, st.integers(0, 9), st.integers(0, 9)),
    response_format=st.just("auto") | SCHEMAS,
    tool_choice=st.sampled_from(["none", "auto", "required"]) | SCHEMAS,
    required_action=st.none()
    | st.just(
        objects.RequiredAction(
            submit_tool_outputs=objects.SubmitToolOutputs(
                tool_calls=(
                    objects.RequiredCall(
                        id="call_1", function=objects.FunctionArguments(name="f", arguments="{")
                    ),
                )
            )
        )
    ),
)
ANNOTATIONS = st.builds(
    objects.Annotation,
    type=st.just("file_citation"),
    text=TEXT,
    start_index=st.integers(0, 9),
    end_index=st.integers(0, 9),
    file_citation=st.builds(
        objects.FileCitation,
        file_id=TEXT,
        quote=st.none() | TEXT,
        page=st.none() | st.integers(1, 9),
    ),
)
CONTENT = st.lists(
    st.builds(
        objects.TextContent,
        text=st.builds(
            objects.TextValue, value=TEXT, annotations=st.lists(ANNOTATIONS, max_size=2).map(tuple)
        ),
    )
    | st.builds(objects.ImageFileContent, image_file=st.builds(objects.ImageFile, file_id=TEXT))
    | st.builds(
        objects.ImageUrlContent,
        image_url=st.builds(objects.ImageUrl, url=TEXT, detail=st.just("low")),
    )
    | st.builds(objects.RefusalContent, refusal=TEXT),
    max_size=3,
).map(tuple)
MESSAGES = st.builds(samples.message, content=CONTENT, metadata=MAPS, run_id=st.none() | TEXT)
CALLS = st.lists(
    st.builds(
        objects.CodeInterpreterCall,
        id=TEXT,
        code_interpreter=st.builds(
            objects.CodeInterpreterDetails,
            input=TEXT,
            outputs=st.lists(
                st.builds(objects.LogsOutput, logs=TEXT)
                | st.builds(objects.ImageOutput, image=st.builds(objects.FilePath, file_id=TEXT)),
                max_size=2,
            ).map(tuple),
        ),
    )
    | st.builds(
        objects.FunctionCall,
        id=TEXT,
        function=st.builds(
            objects.FunctionCallDetails, name=TEXT, arguments=TEXT, output=st.none() | TEXT
        ),
    ),
    max_size=2,
).map(tuple)
STEPS = st.builds(
    samples.step,
    status=st.sampled_from(StepStatus),
    step_details=st.builds(objects.ToolCallsDetails, tool_calls=CALLS),
    last_error=st.none() | st.just(objects.LastError(code="server_error", message="m")),
)
STORE_FILES = st.builds(
    samples.store_file,
    attributes=st.dictionaries(TEXT, TEXT | st.booleans() | st.floats(allow_nan=False), max_size=3),
    usage_bytes=st.integers(0, 2**60),
)
UPLOAD = objects.UploadRecord(
    id="upload_1",
    bytes=9,
    created_at=1,
    filename="f",
    purpose="assistants",
    status=UploadStatus.COMPLETED,
    expires_at=2,
    file=samples.file(2),
    mime_type="text/plain",
)
OTHERS = st.one_of(
    st.builds(
        samples.assistant,
        tools=TOOLS,
        tool_resources=RESOURCES,
        metadata=MAPS,
        name=st.none() | TEXT,
    ),
    st.builds(samples.thread, st.just(7), metadata=MAPS, tool_resources=RESOURCES),
    st.builds(samples.file, filename=TEXT, expires_at=st.none() | st.integers(0, 9)),
    st.just(UPLOAD),
    st.builds(samples.vector_store, st.just(7), metadata=MAPS, name=st.none() | TEXT),
    st.builds(samples.batch, file_counts=st.builds(objects.FileCounts, failed=st.integers(0, 9))),
)


def key_of(obj: objects.Wire) -> str:
    """The key that the port gives an object."""
    if isinstance(obj, objects.VectorStoreFile):
        return f"{obj.vector_store_id}/{obj.id}"
    return str(obj.model_dump()["id"])


@given(obj=st.one_of(RUNS, MESSAGES, STEPS, STORE_FILES, OTHERS))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_every_kind_comes_back_equal(store: Store, obj: objects.Wire) -> None:
    """What is read is what was put, nulls, floats and odd characters included."""
    finished = samples.run(1, status=RunStatus.COMPLETED)
    await put(store, samples.thread(), finished, samples.vector_store(), obj)
    assert obj == await store.read(lambda tx: tx.get(type(obj), key_of(obj)))


async def test_a_score_that_is_no_number_stays_readable(store: Store) -> None:
    """A broken ranker's NaN must not make a step that nobody can load again."""
    result = objects.SearchResult(file_id="file-1", file_name="a", score=math.nan)
    call = objects.FileSearchCall(id="c", file_search=objects.FileSearchDetails(results=(result,)))
    step = samples.step(step_details=objects.ToolCallsDetails(tool_calls=(call,)))
    await put(store, samples.thread(), samples.run(), step)
    found = await store.read(lambda tx: tx.get(objects.RunStep, "step_1"))
    assert repr(step) == repr(found)


async def test_get_of_an_unknown_key_is_none(store: Store) -> None:
    """No object, no error."""
    assert await store.read(lambda tx: tx.get(objects.Thread, "thread_9")) is None


async def test_a_key_that_is_no_text_for_sqlite_is_unknown(store: Store) -> None:
    """Half a character or NUL in an id from a client finds nothing and breaks nothing."""
    keys = ("\ud800", "thread\x00_1", "", "'; DROP TABLE threads; --")
    found = await store.read(lambda tx: [tx.get(objects.Thread, key) for key in keys])
    assert found == [None] * 4


async def test_put_replaces(store: Store) -> None:
    """The second put under an id is the one that is read."""
    await put(store, samples.thread(metadata={"a": "1"}), samples.thread(metadata={"a": "2"}))
    found = await store.read(lambda tx: tx.get(objects.Thread, "thread_1"))
    assert found == samples.thread(metadata={"a": "2"})


async def test_delete_tells_whether_there_was_something(store: Store) -> None:
    """True the first time, False after that."""
    await put(store, samples.thread())
    assert await store.write(lambda tx: tx.delete(objects.Thread, "thread_1")) is True
    assert await store.write(lambda tx: tx.delete(objects.Thread, "thread_1")) is False


async def test_delete_where_deletes_what_matches(store: Store) -> None:
    """Only the named thread's messages go, and their number is told."""
    await put(store, samples.thread(1), samples.thread(2))
    await put(
        store, samples.message(1), samples.message(2), samples.message(3, thread_id="thread_2")
    )
    deleted = await store.write(
        lambda tx: tx.delete_where(objects.Message, {"thread_id": "thread_1"})
    )
    assert deleted == 2
    assert await store.read(lambda tx: tx.get(objects.Message, "msg_3")) is not None


async def test_delete_where_without_a_condition_is_refused(store: Store) -> None:
    """An empty condition never empties a table."""
    await put(store, samples.thread())
    with pytest.raises(StorageFault, match="all objects"):
        await store.write(lambda tx: tx.delete_where(objects.Thread, {}))
    assert await store.read(lambda tx: tx.get(objects.Thread, "thread_1")) is not None


async def test_a_deleted_thread_takes_all_its_parts_along(store: Store) -> None:
    """Messages, runs, steps, journal and transcript of a thread go with it."""
    from local_assistants.engine.events import EventName
    from local_assistants.engine.ports import TranscriptEntry

    await put(store, samples.thread(), samples.message(), samples.run(), samples.step())
    await store.write(lambda tx: tx.append_event("run_1", EventName.RUN_CREATED, {}))
    await store.write(
        lambda tx: tx.append_transcript(TranscriptEntry("thread_1", message_id="msg_1"))
    )
    await store.write(lambda tx: tx.delete(objects.Thread, "thread_1"))
    left = await store.read(
        lambda tx: (
            tx.get(objects.Message, "msg_1"),
            tx.get(objects.Run, "run_1"),
            tx.get(objects.RunStep, "step_1"),
            tx.events("run_1"),
            tx.transcript("thread_1"),
        )
    )
    assert left == (None, None, None, [], [])


async def test_an_object_without_its_parent_is_refused(store: Store) -> None:
    """A step of no run would be an orphan that no list shows."""
    with pytest.raises(StorageFault, match="does not exist"):
        await put(store, samples.step())


async def test_a_kind_that_lives_inside_others_is_not_stored(store: Store) -> None:
    """A model card has no life of its own here."""
    with pytest.raises(StorageFault, match="not stored"):
        await put(store, objects.Model(id="m", created=1, owned_by="us"))


async def test_a_thread_holds_one_run_that_is_not_over(store: Store) -> None:
    """The second active run of a thread is refused and not stored."""
    await put(store, samples.thread(), samples.run())
    with pytest.raises(ThreadBusy, match="thread_1"):
        await put(store, samples.run(2, thread_id="thread_1"))
    assert await store.read(lambda tx: tx.get(objects.Run, "run_2")) is None


async def test_half_a_character_is_replaced(store: Store) -> None:
    """A lone surrogate, which no client could be sent, is stored as U+FFFD."""
    function = objects.FunctionDefinition(name="f", parameters={"description": "a\ud800b"})
    await put(store, samples.assistant(tools=(objects.FunctionTool(function=function),)))
    found = await store.read(lambda tx: tx.get(objects.Assistant, "asst_1"))
    assert found is not None
    tool = found.tools[0]
    assert isinstance(tool, objects.FunctionTool)
    assert tool.function.parameters == {"description": "a\ufffdb"}
