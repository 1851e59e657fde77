"""A long time of everything that clients do, after which the server has no more than before.

It is looked at while nobody asks for anything, each time after the same work: a server that is busy has more of
everything for a moment.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from pathlib import Path

import yaml
from _report import Goal, Row
from api_parts.children import Worker

from load_parts.figures import Figures, say
from load_parts.servers import MIB, LoadedServer, Look
from local_assistants import paths
from local_assistants.tools.code_interpreter import environment

CLIENTS = 16
PERIODS = 8
WARM = 3  # the first periods: caches fill, pools start
REST = 3.0  # seconds without requests before each look
MORE = 1.05  # the last looks' memory, against the warm-up's

_CALL = {"name": "which", "arguments": {}}
_SCRIPTS = {
    "talk": [{"text": "{{user}}"}],
    "slow": [{"text": "word " * 400, "tokens_per_second": 20}],
    "tool": [{"tool_calls": [_CALL]}, {"text": "It is {{tool}}."}],
    "code": [
        {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": "print({{user}})"}}]},
        {"text": "It said {{tool}}"},
    ],
}
_TOOLS = {
    "tool": [{"type": "function", "function": {"name": "which"}}],
    "code": [{"type": "code_interpreter"}],
}


def measure(root: Path, load: Worker, seconds: float) -> Figures:
    """Everything by chance for so long; memory, files, processes and what lies in folders at rest."""
    figures = Figures()
    (scripts := root / "soak-scripts").mkdir()
    for name, turns in _SCRIPTS.items():
        (scripts / f"{name}.yaml").write_text(yaml.safe_dump({"turns": turns}))
    # As long as the whole soak: an interpreter that ends because its time is over is no sign of anything.
    sessions = "[code_interpreter.sessions]\nlive = 2\npool = 1\nidle = 36000\nlife = 36000\n"
    looks: list[Look] = []
    done: dict[str, int] = {}
    with LoadedServer(root, "soak", scripts, settings=sessions) as server:
        assistants = _assistants(load, server)
        for period in range(PERIODS):
            say(f"soak: {period + 1} of {PERIODS}")
            told = _some(load, server, assistants, period, seconds / PERIODS - REST)
            figures.errors += told["errors"]
            for name, count in told["done"].items():
                done[name] = done.get(name, 0) + count
            time.sleep(REST)
            looks.append(server.look())
        left = server.statuses()
    figures.goals.append(Goal("soak: errors", len(figures.errors), 0))
    figures.goals.append(Goal("soak: runs left in the store", sum(left.values()), 0))
    _judge(figures, looks)
    figures.rows += [Row(f"soak: {name}", count, "times") for name, count in sorted(done.items())]
    figures.plots["soak"] = [
        [look.memory / MIB, look.files, look.processes, look.temporary, look.kept] for look in looks
    ]
    return figures


def _judge(figures: Figures, looks: list[Look]) -> None:
    """The least of the last two looks against the most of the warm-up's: what grows is above it, what varies is not."""
    warm, last = _each(max, looks[:WARM]), _each(min, looks[-2:])
    figures.rows += [
        Row("soak: memory at rest, warm", warm.memory / MIB, "MiB"),
        Row("soak: memory at rest, last", last.memory / MIB, "MiB"),
        Row("soak: files open, last", last.files, ""),
        Row("soak: processes, last", last.processes, ""),
        Row("soak: temporary files, last", last.temporary, ""),
        Row("soak: files in the data folder, last", last.kept, ""),
    ]
    figures.goals += [
        Goal("soak: memory, last to warm", last.memory / warm.memory, MORE),
        Goal("soak: more files open than when warm", last.files - warm.files, 0),
        Goal("soak: more processes than when warm", last.processes - warm.processes, 0),
        Goal("soak: more temporary files than when warm", last.temporary - warm.temporary, 0),
        Goal("soak: more files in the data folder than when warm", last.kept - warm.kept, 0),
    ]


def _each(choose: Callable[[Iterable[int]], int], looks: Sequence[Look]) -> Look:
    """The chosen value of each figure."""
    return Look(*(choose(values) for values in zip(*map(astuple, looks), strict=True)))


def _some(
    load: Worker, server: LoadedServer, assistants: dict[str, str], period: int, seconds: float
) -> dict[str, dict[str, int]]:
    """Work in jobs of at most a minute."""
    end = time.perf_counter() + max(1.0, seconds)
    done: dict[str, int] = {}
    errors: list[str] = []
    part = 0
    while (left := end - time.perf_counter()) > 0:
        told = load.ask(
            "mixture",
            address=server.address,
            assistants=assistants,
            clients=CLIENTS,
            seconds=min(60.0, left),
            seed=1_000_000 * period + 1000 * part,
        )
        part += 1
        errors += told["errors"]
        for name, count in told["done"].items():
            done[name] = done.get(name, 0) + count
    return {"done": done, "errors": errors}  # type: ignore[dict-item]


def _assistants(load: Worker, server: LoadedServer) -> dict[str, str]:
    """One for each script; none for code where there is no environment to run it in."""
    names = set(_SCRIPTS)
    if environment.find(paths.interpreter_root()) is None:
        say("soak: without code, as no interpreter is installed")
        names.remove("code")
    made: dict[str, str] = {}
    for name in sorted(names):
        body = {"model": name, "tools": _TOOLS.get(name, [])}
        asked = [["POST", "/v1/assistants", body]]
        told = load.ask("requests", address=server.address, clients=1, requests=asked, keep=True)
        made[name] = json.loads(told["answers"][0])["id"]
    return made
