"""Every mistake of the contract's section 5 over HTTP: status, message, type, param and code (and point 44)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.server.settings import ServerSettings
from tests.support.answers import error_of
from tests.support.engine import FAST, FUNCTION, calls

from .web import BAD, ORIGIN, USER, Json, Told, Web, image, open_web, path_of, plainly, told

WAITING = (calls("add", {"a": 1}, {"a": 2}),)

# --- 5.2 state -------------------------------------------------------------------------------------


async def test_state_errors_of_a_waiting_run(tmp_path: Path) -> None:
    """A busy thread, and outputs that are missing, unknown or both."""
    async with open_web(tmp_path, WAITING) as web:
        assistant = await web.assistant(tools=[FUNCTION])
        run = await web.finished(assistant)
        asked = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        thread, ids = run["thread_id"], [call["id"] for call in asked]
        start = {"assistant_id": assistant["id"]}
        message = await web.refused("POST", f"/threads/{thread}/messages", json=USER)
        second = await web.refused("POST", f"/threads/{thread}/runs", json=start)
        submit = f"{path_of(run)}/submit_tool_outputs"
        outputs: list[Told] = []
        for given in ([ids[0]], [*ids, "call_x"], ["call_x"], [], [ids[0], ids[0]]):
            body = {"tool_outputs": [{"tool_call_id": id_, "output": "3"} for id_ in given]}
            outputs.append(told(await web.refused("POST", submit, json=body)))
        still = await web.get(path_of(run))
    expected = f"Expected tool outputs for call_ids ['{ids[0]}', '{ids[1]}'], got "
    assert told(message) == plainly(
        f"Can't add messages to {thread} while a run {run['id']} is active."
    )
    assert told(second) == plainly(f"Thread {thread} already has an active run {run['id']}.")
    assert outputs == [
        plainly(f"{expected}['{ids[0]}']"),
        plainly(f"{expected}['{ids[0]}', '{ids[1]}', 'call_x']"),
        plainly(f"{expected}['call_x']"),
        plainly(f"{expected}[]"),
        plainly(f"{expected}['{ids[0]}', '{ids[0]}']"),
    ]
    assert run == still


async def test_state_errors_of_an_ended_run(web: Web) -> None:
    """Neither outputs nor a cancellation are taken; the status is named."""
    run = await web.finished(await web.assistant())
    body = {"tool_outputs": [{"tool_call_id": "call_x", "output": "3"}]}
    submit = await web.refused("POST", f"{path_of(run)}/submit_tool_outputs", json=body)
    cancel = await web.refused("POST", f"{path_of(run)}/cancel")
    assert told(submit) == plainly('Runs in status "completed" do not accept tool outputs.')
    assert told(cancel) == plainly("Cannot cancel run with status 'completed'.")


UPLOAD = {"filename": "b.txt", "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}


async def test_state_errors_of_uploads(web: Web) -> None:
    """An ended upload takes nothing more; a total that differs leaves it pending."""
    part = {"data": ("p", b"pear")}
    upload = await web.post("/uploads", UPLOAD)
    path = f"/uploads/{upload['id']}"
    sent = (await web.client.post(f"{path}/parts", files=part)).json()
    short = await web.refused("POST", f"{path}/complete", json={"part_ids": [sent["id"]]})
    cancelled = await web.post(f"{path}/cancel")
    late = [
        error_of(await web.client.post(f"{path}/parts", files=part)),
        await web.refused("POST", f"{path}/complete", json={"part_ids": [sent["id"]]}),
        await web.refused("POST", f"{path}/cancel"),
    ]
    assert "cancelled" == cancelled["status"]
    assert ("5" in short["message"], "4" in short["message"]) == (True, True)
    assert {BAD} == {error["type"] for error in (short, *late)}
    assert all("cancelled" in error["message"] for error in late)


# --- 5.4 parameters: the kinds of mistakes are in tests/unit/server/test_validation.py, the limits in test_limits.py


UNKNOWN: list[tuple[str, Json, str | None]] = [
    ("/assistants", {"model": "scripted", "file_ids": []}, "file_ids"),
    ("/threads", {"messages": [USER | {"file_ids": []}]}, "messages[0].file_ids"),
    (
        "/threads",
        {"tool_resources": {"file_search": {"file_ids": []}}},
        "tool_resources.file_search.file_ids",
    ),
    ("/threads/{thread}/messages", USER | {"file_ids": []}, "file_ids"),
    ("/threads/{thread}", {"tool_resources": {"file_search": {"vector_stores": [{}]}}}, None),
    ("/threads/runs", {"assistant_id": "{assistant}", "additional_instructions": "x"}, None),
    ("/threads/runs", {"assistant_id": "{assistant}", "additional_messages": []}, None),
    ("/threads/runs", {"assistant_id": "{assistant}", "reasoning_effort": "low"}, None),
    ("/threads/{thread}/runs", {"assistant_id": "{assistant}", "tool_resources": {}}, None),
    (
        "/threads/{thread}/runs",
        {
            "assistant_id": "{assistant}",
            "additional_messages": [USER, USER | {"attachments": [{"file_id": "x", "file": "x"}]}],
        },
        "additional_messages[1].attachments[0].file",
    ),
    ("/vector_stores", {"file_id": "file-X"}, "file_id"),
    ("/uploads", UPLOAD | {"size": 5}, "size"),
]


@pytest.mark.parametrize(("path", "body", "param"), UNKNOWN)
async def test_unknown_keys(web: Web, path: str, body: Json, param: str | None) -> None:
    """Unknown keys, those of v1 among them, are refused with their dotted path."""
    ids = {"assistant": (await web.assistant())["id"], "thread": (await web.thread())["id"]}
    text = json.dumps(body).replace("{assistant}", ids["assistant"])
    error = await web.refused("POST", path.format(**ids), json=json.loads(text))
    named = error["param"] if param is None else param
    assert plainly(f"Unknown parameter: '{named}'.", named, "unknown_parameter") == told(error)
    assert named.rpartition(".")[2] in text


# --- 5.5 values ------------------------------------------------------------------------------------


def linked(url: str) -> Json:
    """A part that shows what a URL gives."""
    return {"type": "image_url", "image_url": {"url": url}}


async def test_images_have_five_formats(web: Web) -> None:
    """By the file's name, in any case; another is refused with what it is, wherever the message is sent."""
    thread = await web.thread()
    path = f"/threads/{thread['id']}/messages"
    good = [
        await web.upload(b"x", f"a.{end}", "vision")
        for end in ["jpeg", "jpg", "PNG", "gif", "webp"]
    ]
    made = await web.post(path, {"role": "user", "content": [image(file["id"]) for file in good]})
    assert [image(file["id"]) for file in good] == made["content"]
    start = {"assistant_id": (await web.assistant())["id"]}
    for name, what in (("a.txt", ".txt"), ("a.png.svg", ".svg"), ("a", "a name without ending")):
        message = {"role": "user", "content": [image((await web.upload(name=name))["id"])]}
        refusals = [
            await web.refused("POST", path, json=message),
            await web.refused("POST", "/threads", json={"messages": [message]}),
            await web.refused(
                "POST", "/threads/runs", json=start | {"thread": {"messages": [message]}}
            ),
            await web.refused(
                "POST",
                f"/threads/{thread['id']}/runs",
                json=start | {"additional_messages": [message]},
            ),
        ]
        text = (
            "Invalid message content: Expected file type to be a supported format: "
            f".jpeg, .jpg, .png, .gif, .webp but got {what}."
        )
        assert [plainly(text)] * 4 == [told(refusal) for refusal in refusals]
    assert [made] == (await web.get(path))["data"]


async def test_image_urls_name_an_image(web: Web) -> None:
    """A web address that ends in one of the formats, or a data URL of one; another is named in the refusal."""
    path = f"/threads/{(await web.thread())['id']}/messages"
    good = [
        "https://x.test/a.png",
        "HTTP://x.test/b/c.JPEG?size=1#top",
        "data:image/webp;base64,AAAA",
    ]
    await web.post(path, {"role": "user", "content": [linked(url) for url in good]})
    for url in ("https://x.test/a.txt", "https://x.test/", "file:///etc/a.png", "a.png", ""):
        error = await web.refused("POST", path, json={"role": "user", "content": [linked(url)]})
        message, kind, param, code = told(error)
        assert (BAD, None, None) == (kind, param, code)
        assert f"'{url}'" in message
        assert ".jpeg, .jpg, .png, .gif, .webp" in message


async def test_purposes(web: Web) -> None:
    """Another purpose is refused in the service's words; a file for tools is not handed out again."""
    form = {"file": ("a.txt", b"x")}
    for purpose in ("x", "assistants_output", ""):
        answer = await web.client.post("/files", files=form, data={"purpose": purpose})
        known = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
        message = f"'{purpose}' is not one of {known} - 'purpose'"
        assert (400, plainly(message, "purpose")) == (answer.status_code, told(error_of(answer)))
    for purpose in ("assistants", "user_data"):
        file = await web.upload(purpose=purpose)
        refused = await web.refused("GET", f"/files/{file['id']}/content")
        assert plainly(f"Not allowed to download files of purpose: {purpose}") == told(refused)


async def test_the_beta_header_where_it_is_insisted_on(tmp_path: Path) -> None:
    """The service's text and code."""
    async with open_web(tmp_path, settings=ServerSettings(require_beta_header=True)) as web:
        error = await web.refused("GET", "/assistants")
    message = (
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the "
        "header 'OpenAI-Beta: assistants=v2'."
    )
    assert plainly(message, None, "invalid_beta") == told(error)


async def test_json_mode_needs_the_word(web: Web) -> None:
    """json_object is refused unless instructions or messages say "json" in some form."""
    assistant = await web.assistant()
    thread = await web.thread("Answer as you like.")
    body = {"assistant_id": assistant["id"], "response_format": {"type": "json_object"}}
    error = await web.refused("POST", f"/threads/{thread['id']}/runs", json=body)
    run = await web.post(f"/threads/{thread['id']}/runs", body | {"instructions": "Use JSON."})
    message, kind, param, code = told(error)
    assert (BAD, "messages", None) == (kind, param, code)
    assert "must contain the word 'json' in some form" in message
    assert "queued" == run["status"]


# --- 5.6 keys and rates ----------------------------------------------------------------------------


async def test_keys(tmp_path: Path) -> None:
    """No key and a wrong key are told apart; a wrong one is not echoed."""
    async with open_web(tmp_path) as web:
        key = await web.home.services.keys.create()
        nothing = await web.refused("GET", "/models", 401)
        wrong = await web.refused(
            "GET", "/models", 401, headers={"authorization": f"Bearer {key.secret}x"}
        )
        right = await web.client.get("/models", headers={"api-key": key.secret})
    begin = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header"
    )
    assert nothing["message"].startswith(begin)
    assert (BAD, None, None) == told(nothing)[1:]
    assert wrong["message"].startswith("Incorrect API key provided: sk-la***")
    assert (BAD, None, "invalid_api_key") == told(wrong)[1:]
    assert (200, True) == (right.status_code, key.secret not in json.dumps(wrong))


async def test_a_full_queue(tmp_path: Path) -> None:
    """One run too many is a 429 that says when to come again, and leaves neither a thread nor a message."""
    async with open_web(tmp_path, core=replace(FAST, max_queued_runs=0)) as web:
        assistant = await web.assistant()
        thread = await web.thread()
        path = f"/threads/{thread['id']}"
        start = {"assistant_id": assistant["id"]}
        answers = [
            await web.client.post("/threads/runs", json=start | {"stream": True}),
            await web.client.post(f"{path}/runs", json=start | {"additional_messages": [USER]}),
        ]
        left = [(await web.get(f"{path}/{kind}"))["data"] for kind in ("messages", "runs")]
    for answer in answers:
        error = error_of(answer)
        assert (429, "rate_limit_error") == (answer.status_code, error["type"])
        assert (None, "rate_limit_exceeded") == (error["param"], error["code"])
        assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert [[], []] == left


# --- 44 --------------------------------------------------------------------------------------------

POSTS = [
    "/assistants",
    "/assistants/{assistant}",
    "/threads",
    "/threads/{thread}",
    "/threads/{thread}/messages",
    "/threads/{thread}/messages/{message}",
    "/threads/runs",
    "/threads/{thread}/runs",
    "/threads/{thread}/runs/{run}",
    "/threads/{thread}/runs/{run}/submit_tool_outputs",
    "/vector_stores",
    "/vector_stores/{store}",
    "/vector_stores/{store}/search",
    "/vector_stores/{store}/files",
    "/vector_stores/{store}/files/{file}",
    "/vector_stores/{store}/file_batches",
    "/uploads",
    "/uploads/{upload}/complete",
]
JSON = {"content-type": "application/json"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"content": b"{", "headers": JSON}, "We could not parse the JSON body of your request"),
    ({"content": b"\xff", "headers": JSON}, "We could not parse the JSON body of your request"),
    ({"json": []}, "Invalid type: expected an object, but got an array instead."),
    ({"json": "x"}, "Invalid type: expected an object, but got a string instead."),
    ({"json": 1}, "Invalid type: expected an object, but got an integer instead."),
    ({"json": {"nonsense": 1}}, ""),
    ({"json": {"metadata": 1, "file_ids": 1, "tool_outputs": 1, "part_ids": 1}}, ""),
    ({"content": b"a=b", "headers": {"content-type": "text/plain"}}, "Unsupported content type"),
    ({"data": {"a": "b"}}, "Unsupported content type"),
]


@pytest.mark.parametrize("path", POSTS)
async def test_point_44_mistakes_are_400_in_the_envelope(web: Web, path: str) -> None:
    """Whatever is sent to whichever POST: no 422, no 500, no body of the framework's, and nothing is stored."""
    run = await web.finished(await web.assistant())
    file, store = await web.upload(), await web.post("/vector_stores")
    await web.post(f"/vector_stores/{store['id']}/files", {"file_id": file["id"]})
    await web.settled(f"/vector_stores/{store['id']}")
    said = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"][0]
    ids = {
        "assistant": run["assistant_id"],
        "thread": run["thread_id"],
        "message": said["id"],
        "run": run["id"],
        "store": store["id"],
        "file": file["id"],
        "upload": "upload_none" if "upload" not in path else (await pending(web)),
    }
    lists = ("/assistants", "/vector_stores", "/files")
    before = [await web.get(each) for each in lists]
    for sent, begin in WRONG:
        error = await web.refused("POST", path.format(**ids), **sent)
        assert (BAD, True) == (error["type"], error["message"].startswith(begin)), sent
    assert before == [await web.get(each) for each in lists]


async def pending(web: Web) -> str:
    """The id of an upload that waits for its parts."""
    return str((await web.post("/uploads", UPLOAD))["id"])


@pytest.mark.parametrize("path", ["/files", "/uploads/{upload}/parts"])
async def test_point_44_mistakes_in_forms(web: Web, path: str) -> None:
    """JSON, no body, a broken form and a form without its file are 400 in the envelope, too."""
    path = path.format(upload=await pending(web))
    form = {"content-type": "multipart/form-data; boundary=x"}
    sent: list[dict[str, Any]] = [
        {},
        {"json": {}},
        {"content": b"", "headers": form},
        {"content": b"--x", "headers": form},
        {"content": b"--x--\r\n", "headers": form},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        {"files": {"other": ("a", b"x")}},
    ]
    errors = [await web.refused("POST", path, **each) for each in sent]
    assert [BAD] * len(sent) == [error["type"] for error in errors]


async def test_point_44_what_the_framework_would_answer(web: Web) -> None:
    """Unknown paths and methods, odd paths, odd queries: the envelope with 404, 405 or 400."""
    answers = [
        await web.client.request(method, f"{ORIGIN}{path}")
        for method, path in (
            ("GET", "/v1/nothing"),
            ("GET", "/v1/assistants/%00"),
            ("GET", "/v1/assistants/%ff%fe"),
            ("PUT", "/v1/assistants"),
            ("HEAD", "/v1/nothing"),
            ("TRACE", "/v1/threads"),
            ("GET", "/v1/assistants?limit=abc"),
            ("GET", "/v1/assistants?limit=1&order=x"),
        )
    ]
    statuses = [answer.status_code for answer in answers]
    assert [404, 400, 400, 405, 404, 405, 400, 400] == statuses
    assert [BAD] * 7 == [error_of(a)["type"] for a in answers if a.request.method != "HEAD"]
