"""The examples of docs/streams.md, run as they stand."""

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_assistants import Engine, Settings
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun

from .conftest import ServeScript

DOC = Path(__file__).resolve().parents[2] / "docs" / "streams.md"
BETWEEN = "=====example====="


def test_the_examples_of_the_page_on_streams_run(serve_script: ServeScript, tmp_path: Path) -> None:
    """One after the other in a shell: a whole stream, its rest, two requests at a busy thread, a list, an export."""
    if shutil.which("curl") is None:
        pytest.fail("the page's examples need curl: apt-get install curl")
    examples = re.findall(r"```bash\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    script = f"\necho {BETWEEN}\n".join(examples)
    address = serve_script([{"text": "one two three", "tokens_per_second": 20}])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={"BASE": address, "PATH": "/usr/bin:/bin:/usr/local/bin", "no_proxy": "*"},
        text=True,
        timeout=60,
    )
    assert 0 == done.returncode, done.stderr
    nothing, whole, rest, busy, threads, export = done.stdout.split(f"{BETWEEN}\n")

    assert "" == nothing
    assert whole.endswith(rest)
    assert rest.startswith("id: 4\n")
    message, _, stream = busy.partition("\n")
    assert message.startswith("msg_")
    assert stream.startswith("id: 1\nevent: thread.run.created\n")
    assert stream.endswith("event: done\ndata: [DONE]\n\n")
    [thread] = json.loads(threads)["data"]
    assert {"user": "ann"} == thread["metadata"]
    assert "" == export
    lines = (tmp_path / "thread.jsonl").read_text("utf-8").splitlines()
    assert "end" == json.loads(lines[-1])["type"]


async def test_the_example_without_a_server_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On an embedded engine, after a run on a thread of Ann's."""
    [example] = re.findall(r"```python\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    body = textwrap.indent(example, "    ")
    names: dict[str, Any] = {}
    code = f"async def example(engine, run):\n{body}    return again, threads, exported\n"
    exec(compile(code, str(DOC), "exec"), names)
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": [{"text": "Hello."}]}))
    async with Engine.open(Settings(model=f"scripted:{script}", data=tmp_path / "data")) as engine:
        services = engine.services
        assistant = await services.assistants.create(CreateAssistant(model="gpt-4o"))
        asked = {"assistant_id": assistant.id, "thread": {"metadata": {"user": "ann"}}}
        run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(asked))
        again, threads, exported = await names["example"](engine, run)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("4 thread.")
    assert said[-1].endswith(" thread.run.completed")
    assert again.thread_id == run.thread_id
    assert [run.thread_id] == [thread.id for thread in threads.data]
    assert run.thread_id == json.loads(exported.getvalue())["thread"]["id"]
