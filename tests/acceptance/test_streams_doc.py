"""The examples of docs/streams.md, run as they stand."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

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
