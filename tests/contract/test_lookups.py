"""Ids that name nothing, or something of another parent (contract, 5.3)."""

from .web import USER, Json, Web, image, path_of, plainly, told

LOOKUPS = [
    ("GET", "/assistants/asst_none", "No assistant found with id 'asst_none'."),
    ("POST", "/assistants/asst_none", "No assistant found with id 'asst_none'."),
    ("DELETE", "/assistants/asst_none", "No assistant found with id 'asst_none'."),
    ("GET", "/threads/thread_none", "No thread found with id 'thread_none'."),
    ("POST", "/threads/thread_none", "No thread found with id 'thread_none'."),
    ("DELETE", "/threads/thread_none", "No thread found with id 'thread_none'."),
    ("GET", "/threads/thread_none/messages", "No thread found with id 'thread_none'."),
    ("GET", "/threads/thread_none/runs", "No thread found with id 'thread_none'."),
    ("GET", "/threads/{thread}/messages/msg_none", "No message found with id 'msg_none'."),
    ("POST", "/threads/{thread}/messages/msg_none", "No message found with id 'msg_none'."),
    ("DELETE", "/threads/{thread}/messages/msg_none", "No message found with id 'msg_none'."),
    ("GET", "/threads/{thread}/runs/run_none", "No run found with id 'run_none'."),
    ("POST", "/threads/{thread}/runs/run_none", "No run found with id 'run_none'."),
    ("POST", "/threads/{thread}/runs/run_none/cancel", "No run found with id 'run_none'."),
    ("GET", "/threads/{thread}/runs/run_none/steps", "No run found with id 'run_none'."),
    (
        "GET",
        "/threads/{thread}/runs/{run}/steps/step_none",
        "No run step found with id 'step_none'.",
    ),
    ("GET", "/vector_stores/vs_none", "No vector store found with id 'vs_none'."),
    ("POST", "/vector_stores/vs_none", "No vector store found with id 'vs_none'."),
    ("DELETE", "/vector_stores/vs_none", "No vector store found with id 'vs_none'."),
    ("GET", "/vector_stores/vs_none/files", "No vector store found with id 'vs_none'."),
    (
        "GET",
        "/vector_stores/{store}/files/file-X",
        "No file found with id 'file-X' in vector store '{store}'.",
    ),
    (
        "DELETE",
        "/vector_stores/{store}/files/file-X",
        "No file found with id 'file-X' in vector store '{store}'.",
    ),
    (
        "GET",
        "/vector_stores/{store}/files/file-X/content",
        "No file found with id 'file-X' in vector store '{store}'.",
    ),
    (
        "GET",
        "/vector_stores/{store}/file_batches/vsfb_none",
        "No file batch found with id 'vsfb_none'.",
    ),
    (
        "POST",
        "/vector_stores/{store}/file_batches/vsfb_none/cancel",
        "No file batch found with id 'vsfb_none'.",
    ),
    (
        "GET",
        "/vector_stores/{store}/file_batches/vsfb_none/files",
        "No file batch found with id 'vsfb_none'.",
    ),
    ("POST", "/uploads/upload_none/cancel", "No upload found with id 'upload_none'."),
    ("POST", "/elsewhere", "Invalid URL (POST /v1/elsewhere)"),
]


async def test_what_does_not_exist(web: Web) -> None:
    """Each kind has its own text, by whichever operation it is asked for; param and code are null."""
    run = await web.finished(await web.assistant())
    store = await web.post("/vector_stores")
    ids = {"thread": run["thread_id"], "run": run["id"], "store": store["id"]}
    answers = [
        told(await web.refused(method, path.format(**ids), 404)) for method, path, _ in LOOKUPS
    ]
    assert [plainly(message.format(**ids)) for _, _, message in LOOKUPS] == answers


async def test_files_and_models_that_do_not_exist(web: Web) -> None:
    """These two say in param what was looked up."""
    file = plainly("No such File object: file-X", "id")
    for method, path in (
        ("GET", "/files/file-X"),
        ("DELETE", "/files/file-X"),
        ("GET", "/files/file-X/content"),
    ):
        assert file == told(await web.refused(method, path, 404))
    model = plainly("The model 'X' does not exist", "model", "model_not_found")
    assistant = await web.assistant()
    body = {"assistant_id": assistant["id"], "model": "X"}
    nameless = await web.refused("POST", "/threads/runs", 404, json=body | {"model": ""})
    assert plainly("The model '' does not exist", "model", "model_not_found") == told(nameless)
    refusals = [
        await web.refused("GET", "/models/X", 404),
        await web.refused("POST", "/assistants", 404, json={"model": "X"}),
        await web.refused("POST", f"/assistants/{assistant['id']}", 404, json={"model": "X"}),
        await web.refused("POST", "/threads/runs", 404, json=body),
    ]
    assert [model] * 4 == [told(refusal) for refusal in refusals]


async def test_what_belongs_to_another_parent_is_not_found(web: Web) -> None:
    """A message, a run, a step, a batch of another thread or store is a 404 in the words of its kind."""
    assistant = await web.assistant()
    own, other = await web.finished(assistant), await web.thread()
    message = (await web.get(f"/threads/{own['thread_id']}/messages"))["data"][0]["id"]
    step = (await web.get(f"{path_of(own)}/steps"))["data"][0]["id"]
    second = await web.post(f"/threads/{own['thread_id']}/runs", {"assistant_id": assistant["id"]})
    file = await web.upload()
    stores = [await web.post("/vector_stores", {"file_ids": [file["id"]]}), None]
    stores[1] = await web.post("/vector_stores")
    full, empty = (store["id"] for store in stores if store is not None)
    batch = await web.post(f"/vector_stores/{full}/file_batches", {"file_ids": [file["id"]]})
    there = f"/threads/{other['id']}"
    wanted = {
        f"{there}/messages/{message}": f"No message found with id '{message}'.",
        f"{there}/runs/{own['id']}": f"No run found with id '{own['id']}'.",
        f"{there}/runs/{own['id']}/steps": f"No run found with id '{own['id']}'.",
        f"{path_of(second)}/steps/{step}": f"No run step found with id '{step}'.",
        f"/vector_stores/{empty}/files/{file['id']}": f"No file found with id '{file['id']}' in vector store "
        f"'{empty}'.",
        f"/vector_stores/{empty}/file_batches/{batch['id']}": f"No file batch found with id '{batch['id']}'.",
    }
    answers = {path: told(await web.refused("GET", path, 404)) for path in wanted}
    assert {path: plainly(message) for path, message in wanted.items()} == answers


async def test_ids_in_bodies(web: Web) -> None:
    """Unknown files are a 400 that names them and where they stood; an unknown assistant is a 404."""
    assistant, store = await web.assistant(), await web.post("/vector_stores")
    thread = f"/threads/{(await web.thread())['id']}"
    start = {"assistant_id": assistant["id"]}
    code: Json = {"tool_resources": {"code_interpreter": {"file_ids": ["file-X", "file-Y"]}}}
    seed: Json = {"tool_resources": {"file_search": {"vector_stores": [{"file_ids": ["file-X"]}]}}}
    search: Json = {"tool_resources": {"file_search": {"vector_store_ids": ["vs_none"]}}}
    attached = USER | {"attachments": [{"file_id": "file-X", "tools": [{"type": "file_search"}]}]}
    picture = {"role": "user", "content": [image("file-X")]}
    one = "No file found with id(s): file-X."
    cases: list[tuple[str, Json, str, str]] = [
        (
            "/assistants",
            {"model": "scripted"} | code,
            "No file found with id(s): file-X, file-Y.",
            "tool_resources.code_interpreter.file_ids",
        ),
        ("/threads", seed, one, "tool_resources.file_search.vector_stores[0].file_ids"),
        (
            "/threads",
            search,
            "No vector store found with id 'vs_none'.",
            "tool_resources.file_search.vector_store_ids",
        ),
        (f"{thread}/messages", attached, one, "attachments"),
        (f"{thread}/messages", picture, one, "content"),
        ("/threads", {"messages": [attached]}, one, "attachments"),
        (f"{thread}/runs", start | {"additional_messages": [attached]}, one, "attachments"),
        ("/vector_stores", {"file_ids": ["file-X"]}, one, "file_ids"),
        (f"/vector_stores/{store['id']}/files", {"file_id": "file-X"}, one, "file_id"),
        (f"/vector_stores/{store['id']}/file_batches", {"file_ids": ["file-X"]}, one, "file_ids"),
    ]
    answers = [told(await web.refused("POST", path, json=body)) for path, body, _, _ in cases]
    assert [plainly(message, param) for _, _, message, param in cases] == answers
    for path in ("/threads/runs", f"{thread}/runs"):
        error = await web.refused("POST", path, 404, json={"assistant_id": "asst_none"})
        assert plainly("No assistant found with id 'asst_none'.") == told(error)
    assert [] == (await web.get(f"{thread}/messages"))["data"]
    assert [] == (await web.get(f"{thread}/runs"))["data"]


async def test_malformed_ids(web: Web) -> None:
    """A client's "undefined" is a 400 that says how such an id begins."""
    error = await web.refused("GET", "/threads/undefined")
    message = "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'."
    assert plainly(message, "thread_id", "invalid_value") == told(error)
