"""Decoding under a JSON schema against decoding freely, one sequence and four; llama.cpp's server beside it.

The schema asks for a list that is longer than there are tokens, so that all are decoded under the grammar. The texts
differ, as they must: what is compared is the time of a token.
"""

from typing import Any

from _report import Goal, Row

from model_parts import peer
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.peer import ask_peer, body
from model_parts.talk import Streams, decode_rate, request

WIDTHS = (1, 4)
TOKENS = {"135m": 64, "1.5b": 40}
ROUNDS = 5
GOAL = 0.95
FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "goods",
        "schema": {
            "type": "object",
            "properties": {
                "goods": {
                    "type": "array",
                    "minItems": 20,
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "kind": {"type": "string", "enum": ["metal", "food", "cloth", "wood"]},
                            "price": {"type": "number"},
                            "in_stock": {"type": "boolean"},
                        },
                        "required": ["name", "kind", "price", "in_stock"],
                        "additionalProperties": False,
                    },
                }
            },
            "required": ["goods"],
            "additionalProperties": False,
        },
    },
}


def question(key: str) -> str:
    """What both are asked; a list in JSON is the natural answer."""
    return f"Write a JSON list of forty goods sold in {key}, each with name, kind, price and stock."


async def measure(bench: Bench) -> None:
    """Free and constrained in turn, ours and the peer's."""
    with peer.peer(bench) as other:
        async with bench.ours() as ours:
            for width in WIDTHS:
                for number in range(bench.size(ROUNDS) + 1):
                    bench.say(f"grammar, {width} at a time, round {number}")
                    texts = [question(f"town {number}.{width}.{n}") for n in range(width)]
                    found = await _ours(bench, ours, texts)
                    found |= await _theirs(bench, other.address, texts)
                    for name, rate in found.items() if number else ():
                        bench.add(f"grammar {width} {name}", rate)


async def _ours(bench: Bench, backend: Streams, texts: list[str]) -> dict[str, float]:
    tokens = bench.size(TOKENS.get(bench.model, 48), 16)
    found: dict[str, float] = {}
    for name, extra in (("free", {}), ("bound", {"response_format": FORMAT})):
        wanted = [request(text, tokens, **extra) for text in texts]
        found[name] = await decode_rate(backend, wanted)
    return found


async def _theirs(bench: Bench, address: str, texts: list[str]) -> dict[str, float]:
    """By the server's own clock: it tells tokens a second of each answer without its prompt."""
    tokens = bench.size(TOKENS.get(bench.model, 48), 16)
    found: dict[str, float] = {}
    for name, extra in (("peer free", {}), ("peer bound", {"response_format": FORMAT})):
        replies = await ask_peer(address, [body(text, tokens, **extra) for text in texts])
        found[name] = sum(reply.decode_rate for reply in replies)
    return found


def tell(model: str, of: Figures) -> Told:
    """Rates and ratios."""
    rows: list[Row] = []
    goals: list[Goal] = []
    for width in WIDTHS:
        what = f"{model}: JSON schema, {width} at a time"
        for side, free, bound in (
            ("ours", "free", "bound"),
            ("llama.cpp's server", "peer free", "peer bound"),
        ):
            one, other = f"grammar {width} {bound}", f"grammar {width} {free}"
            ratio = of.ratio(one, other)
            rows.append(Row(f"{what}: {side}", of(one), "tokens/s", None, ratio, "its own, free"))
            if side == "ours":
                goals.append(Goal(f"{what}, to free decoding", ratio, GOAL, at_least=True))
    return Told(rows, goals)


PART = Part("grammar", ("135m", "1.5b"), measure, tell)
