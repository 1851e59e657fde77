"""What a run's model was told, as `GET /local/threads/{thread}/runs/{run}/prompt` shows it."""

from pathlib import Path

from tests.support.engine import CODE, ScriptedTool, answering, calls

from .web import ORIGIN, Json, Web, open_web, path_of

LOCAL = f"{ORIGIN}/local"
HINT = "KeyError: 'State'\nHint: write df.columns = df.columns.str.strip()"
TURNS = [calls("code_interpreter", {"code": "df['State']"}), {"text": "It is Georgia."}]


async def asked(web: Web) -> Json:
    """A finished run about an attached file, whose code fails."""
    file = await web.upload(b"State\nGA\n", "banks.csv")
    assistant = await web.assistant(instructions="Be brief.", tools=[CODE])
    return await web.finished(
        assistant,
        thread={
            "messages": [{"role": "user", "content": "Which state?"}],
            "tool_resources": {"code_interpreter": {"file_ids": [file["id"]]}},
        },
    )


async def test_it_is_what_the_model_was_told(tmp_path: Path) -> None:
    """Instructions with the file's profile, tools, conversation, outputs with hint and nudge, the answer."""
    tool = ScriptedTool("code_interpreter", answering(HINT, failed=True))
    async with open_web(tmp_path, TURNS, tools=[tool]) as web:
        run = await asked(web)
        shown = await web.get(f"{LOCAL}{path_of(run)}/prompt")
        last = web.home.backend.requests[-1]
    assert "thread.run.prompt" == shown["object"]
    assert [run["id"], "scripted"] == [shown["run_id"], shown["model"]]
    assert ["code_interpreter"] == [tool["name"] for tool in shown["tools"]]
    assert [each.text for each in last.messages] + ["It is Georgia."] == [
        each["content"] for each in shown["messages"]
    ]
    assert "Be brief.\n\ncode_interpreter has: banks.csv" == shown["messages"][0]["content"]
    assert HINT in shown["messages"][3]["content"]
    assert '{"code": "df[\'State\']"}' == shown["messages"][2]["tool_calls"][0]["arguments"]


async def test_it_ends_with_the_runs_last_word(tmp_path: Path) -> None:
    """What the user asked afterwards was not seen."""
    tool = ScriptedTool("code_interpreter", answering(HINT, failed=True))
    async with open_web(tmp_path, TURNS, tools=[tool]) as web:
        run = await asked(web)
        await web.post(f"/threads/{run['thread_id']}/messages", {"role": "user", "content": "Why?"})
        shown = await web.get(f"{LOCAL}{path_of(run)}/prompt")
    assert "It is Georgia." == shown["messages"][-1]["content"]


async def test_pictures_are_named_by_file_id(tmp_path: Path) -> None:
    """The host's own paths are nobody's business."""
    async with open_web(tmp_path) as web:
        picture = await web.upload(b"\x89PNG", "a.png", "vision")
        part = {"type": "image_file", "image_file": {"file_id": picture["id"]}}
        assistant = await web.assistant()
        thread = {"messages": [{"role": "user", "content": [part]}]}
        run = await web.finished(assistant, thread=thread)
        shown = await web.get(f"{LOCAL}{path_of(run)}/prompt")
    parts = shown["messages"][0]["content"]
    assert {"type": "image", "url": picture["id"]} == parts[0]


async def test_an_unknown_run_is_not_found(web: Web) -> None:
    """Nor is one of another thread."""
    thread, other = await web.thread("Hi"), await web.finished(await web.assistant())
    for run_id in ("run_none", other["id"]):
        path = f"{LOCAL}/threads/{thread['id']}/runs/{run_id}/prompt"
        error = await web.refused("GET", path, 404)
        assert f"No run found with id '{run_id}'." == error["message"]
