"""A server as an operator watches it: a log that programs read, figures, and traces, of the same run."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")


def test_log_figures_and_traces_tell_of_the_same_run(tmp_path: Path) -> None:
    """Every line on stderr is JSON; the run's lines, its trace and its figures go together."""
    (tmp_path / "script.yaml").write_text('turns: [{text: "Hello."}]')
    (tmp_path / "settings.toml").write_text('[telemetry]\ntraces = "file"\n')
    options = ["--port", "0", "--load-on-demand", "--log-format", "json", "--log-level", "info"]
    options += ["--model", f"scripted:{tmp_path}/script.yaml", "--data", f"{tmp_path}/data"]
    command = [sys.executable, "-m", "local_assistants", "serve", *options]
    command += ["--settings", f"{tmp_path}/settings.toml"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        with httpx.Client(base_url=server.stdout.readline().strip(), timeout=60) as client:
            run = _run(client)
            figures = client.get("/metrics").text
            means = _example(0, BASE=str(client.base_url))
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=60)
    finally:
        server.kill()
        server.wait()
    lines = [json.loads(line) for line in said.splitlines()]
    own = [line for line in lines if line.get("run_id") == run["id"]]
    assert {run["thread_id"]} == {line["thread_id"] for line in own}
    told = [line["message"].partition(":")[0] for line in own if line["logger"].endswith(".run")]
    assert ["run begun", "model turn ended", "run ended"] == told
    asked = f"POST /v1/threads/{run['thread_id']}/runs"
    assert [200] == [line["status"] for line in lines if line["message"].startswith(asked)]
    assert {hashlib.sha256(run["id"].encode()).hexdigest()[:32]} == _traces(tmp_path / "data")
    for sample in (
        'local_assistants_runs_total{status="completed"} 1.0',
        'local_assistants_turn_first_token_seconds_count{model="scripted"} 1.0',
        'local_assistants_store_seconds_count{kind="write"} ',
        'local_assistants_kernels{state="session"} 0.0',
    ):
        assert sample in figures
    assert "local_assistants_runs{status" not in means  # it has no mean
    assert re.search(r'turn_seconds\{model="scripted",outcome="stop"} +1 times, ', means)
    slowest = _example(1, DATA=str(tmp_path / "data")).splitlines()
    assert [run["id"]] * 2 == [line.split()[-1] for line in slowest]
    assert _explained() == _told(figures)


def _example(number: int, **names: str) -> str:
    """What an example of the page prints, the server's start not counted."""
    if shutil.which("curl") is None:
        pytest.fail("the page's examples need curl: apt-get install curl")
    script = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[number + 1]
    names |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "*"}
    names["PATH"] = f"{Path(sys.executable).parent}:{names['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, env=names, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def _explained() -> set[str]:
    """The figures that the page's table names, without what a counter's name ends in."""
    table = PAGE.partition("| figure (")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {name.removesuffix("_total") for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def _told(figures: str) -> set[str]:
    """Those that a server tells of itself."""
    ours = "local_assistants_"
    names = (family.name for family in text_string_to_metric_families(figures))
    return {
        name.removeprefix(ours).removesuffix("_info").replace("build", "build_info")
        for name in names
        if name.startswith(ours) and not name.endswith("_created")
    }


def _run(client: httpx.Client) -> dict[str, str]:
    """A run that has ended."""
    assistant = client.post("/v1/assistants", json={"model": "scripted"}).json()
    thread = client.post("/v1/threads", json={}).json()
    body = {"assistant_id": assistant["id"], "stream": True}
    path = f"/v1/threads/{thread['id']}/runs"
    client.post(path, json=body).raise_for_status()
    found: dict[str, str] = client.get(path).json()["data"][0]
    return found


def _traces(data: Path) -> set[str]:
    """The ids of the traces in the file, in hexadecimal."""
    lines = (data / "traces.jsonl").read_text().splitlines()
    return {json.loads(line)["context"]["trace_id"].removeprefix("0x") for line in lines}
