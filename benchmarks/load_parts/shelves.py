"""Two stores, one with next to nothing in it and one with a hundred thousand threads: what the same requests take.

Every request goes to both, in turns; each thread is asked for once, so that neither store has it in a cache.
"""

from pathlib import Path
from typing import Any

from _report import Goal, Row, median, p99
from api_parts import seeds
from api_parts.children import Worker

from load_parts import seeding
from load_parts.figures import Figures, say
from load_parts.servers import MIB, LoadedServer

SAMPLES = 40  # of each request in a round
SLOWER = 1.5
LYING = 1024  # bytes of memory
LIVE = 2000  # threads made over HTTP at a time, to see what an idle one costs
IDLE = (
    4096  # bytes that one more may cost; most of it is the database's cache, which has its bounds
)

_NAMES = {
    "list threads": ("GET", "/local/threads?limit=20"),
    "list messages": ("GET", "/v1/threads/{thread}/messages"),
    "list runs": ("GET", "/v1/threads/{thread}/runs"),
    "get a thread": ("GET", "/v1/threads/{thread}"),
    "create a thread": ("POST", "/v1/threads"),
    "create a message": ("POST", "/v1/threads/{thread}/messages"),
    "create a run, streamed to its end": ("POST", "/v1/threads/{thread}/runs"),
    "create a thread and run it": ("POST", "/v1/threads/runs"),
}
Pair = list[Any]


def measure(root: Path, load: Worker, threads: int, rounds: int) -> Figures:
    """The ratios by request, and what a thread costs that nobody asks for."""
    figures = Figures()
    script = seeds.write_script(root / "echo.yaml", "{{user}}")
    say(f"a store of {threads} threads with {seeding.MESSAGES} messages each is filled")
    small = seeding.fill(root / "small", (rounds + 1) * SAMPLES)
    large = seeding.fill(root / "large", threads)
    size = (root / "large" / "store.db").stat().st_size
    with (
        LoadedServer(root, "small", script) as few,
        LoadedServer(root, "large", script) as many,
    ):
        servers = (few, many)
        assistants = [server.assistant(load, "default") for server in servers]
        errors: list[str] = []
        samples: dict[str, list[tuple[list[float], list[float]]]] = {name: [] for name in _NAMES}
        for number in range(rounds + 1):  # the first one warms
            say(f"store: round {number} of {rounds}: the same requests to both")
            chosen = [_chosen(ids, number / (rounds + 1)) for ids in (small, large)]
            told = load.ask(
                "turns",
                addresses=[server.address for server in servers],
                pairs=_pairs(chosen, assistants),
            )
            errors += told["errors"]
            for name, took in told["took"].items() if number else ():
                samples[name].append(took)
        figures.none("store: errors", errors)
        rest = [server.memory for server in servers]
        _tell(figures, samples)
        _weigh_idle(figures, load, few)
    figures.add("store: bytes on disk", size / MIB, "MiB")
    figures.add("store: memory of the server, small store", rest[0] / MIB, "MiB")
    figures.add("store: memory of the server, large store", rest[1] / MIB, "MiB")
    per_thread = (rest[1] - rest[0]) / threads
    figures.add("store: memory of a thread that lies there", per_thread, "bytes")
    figures.goals.append(
        Goal("store: bytes of memory for a thread that lies there", per_thread, LYING)
    )
    return figures


def _chosen(ids: list[str], part: float) -> list[str]:
    """The threads of a round, from all over the store; no other round has them."""
    step = len(ids) // SAMPLES
    return [ids[number * step + int(part * step)] for number in range(SAMPLES)]


def _pairs(chosen: list[list[str]], assistants: list[str]) -> list[Pair]:
    """Each request to both stores, with the names taking turns."""
    return [
        [
            name,
            *(_request(name, ids[number], of) for ids, of in zip(chosen, assistants, strict=True)),
        ]
        for number in range(SAMPLES)
        for name in _NAMES
    ]


def _request(name: str, thread: str, assistant: str) -> list[Any]:
    method, path = _NAMES[name]
    message = {"role": "user", "content": "a few words to begin with"}
    bodies: dict[str, Any] = {
        "create a thread": {"messages": [message]},
        "create a message": message,
        "create a run, streamed to its end": {"assistant_id": assistant, "stream": True},
        "create a thread and run it": {
            "assistant_id": assistant,
            "thread": {"messages": [message]},
            "stream": True,
        },
    }
    return [method, path.format(thread=thread), bodies.get(name)]


def _tell(figures: Figures, samples: dict[str, list[tuple[list[float], list[float]]]]) -> None:
    ratios: dict[str, list[float]] = {}
    for name, rounds in samples.items():
        small = [sample for of_small, _ in rounds for sample in of_small]
        large = [sample for _, of_large in rounds for sample in of_large]
        ratios[name] = [median(of_large) / median(of_small) for of_small, of_large in rounds]
        seen = median(ratios[name])
        figures.rows += [
            Row(f"store: {name}, small", median(small), "ms", p99(small)),
            Row(f"store: {name}, large", median(large), "ms", p99(large), seen, "small"),
        ]
        figures.goals.append(Goal(f"store: {name}, large to small", seen, SLOWER))
    figures.plots["store"] = ratios


def _weigh_idle(figures: Figures, load: Worker, server: LoadedServer) -> None:
    """What threads leave in the process that made them: the first ones warm it, the rest is weighed."""
    body = {"messages": [{"role": "user", "content": "a few words to begin with"}]}
    weights: list[int] = []
    errors: list[str] = []
    for _ in range(4):
        made = [["POST", "/v1/threads", body]] * LIVE
        told = load.ask("requests", address=server.address, clients=8, requests=made)
        errors += told["errors"]
        weights.append(server.at_rest().memory)
    figures.none("store: errors in making threads", errors)
    each = (weights[-1] - weights[0]) / (LIVE * (len(weights) - 1))
    figures.add("store: memory that one more idle thread takes", each, "bytes")
    figures.goals.append(Goal("store: bytes of memory for one more idle thread", each, IDLE))
