"""What a client may ask of a search, and what reaches the library: rankers, weights, rewriting."""

from typing import Any

import pytest

from local_assistants.engine.ports import HybridWeights

from .web import Json, Web

JSON = {"content-type": "application/json"}
WEIGHTS = {"embedding_weight": 0.5, "text_weight": 2}


async def store(web: Web) -> str:
    """The path of a vector store with one file."""
    file = await web.upload(b"apples and pears")
    made = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    await web.settled(f"/vector_stores/{made['id']}")
    return f"/vector_stores/{made['id']}"


async def test_options_reach_the_library(web: Web) -> None:
    """All of them; without any, the library's own way."""
    path = await store(web)
    ranking = {"ranker": "none", "score_threshold": 0.25, "hybrid_search": WEIGHTS}
    body = {"query": "apples", "max_num_results": 7, "ranking_options": ranking}
    await web.post(f"{path}/search", body)
    await web.post(f"{path}/search", {"query": "apples"})
    first, plain = web.home.library.queries

    assert ("none", 0.25, 7) == (first.ranker, first.score_threshold, first.max_results)
    assert HybridWeights(0.5, 2.0) == first.hybrid
    assert ("auto", None, False) == (plain.ranker, plain.hybrid, plain.rewrite)


async def test_the_answer_says_what_was_looked_for(web: Web) -> None:
    """The rewritten queries where the client asks for rewriting, else its own."""
    path = await store(web)
    rewritten = await web.post(f"{path}/search", {"query": "APPLES", "rewrite_query": True})
    kept = await web.post(f"{path}/search", {"query": "APPLES"})

    assert (["apples"], ["APPLES"]) == (rewritten["search_query"], kept["search_query"])
    assert [True, False] == [query.rewrite for query in web.home.library.queries]


@pytest.mark.parametrize(
    ("ranking", "param"),
    [
        ({"ranker": "best"}, "ranking_options.ranker"),
        ({"score_threshold": 2}, "ranking_options.score_threshold"),
        ({"hybrid_search": {"text_weight": 1}}, "ranking_options.hybrid_search.embedding_weight"),
        (
            {"hybrid_search": {"embedding_weight": -1, "text_weight": 1}},
            "ranking_options.hybrid_search.embedding_weight",
        ),
        (
            {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}},
            "ranking_options.hybrid_search.text_weight",
        ),
    ],
)
async def test_options_that_cannot_be_are_refused(web: Web, ranking: Json, param: str) -> None:
    """By their place in the body, in a search and in an assistant's tool."""
    path = await store(web)
    error = await web.refused(
        "POST", f"{path}/search", json={"query": "x", "ranking_options": ranking}
    )
    assert param == error["param"]

    search = {"ranking_options": {"score_threshold": 0.0} | ranking}
    tools: list[Any] = [{"type": "file_search", "file_search": search}]
    error = await web.refused("POST", "/assistants", json={"model": "scripted", "tools": tools})
    assert f"tools[0].file_search.{param}" == error["param"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "query"),
        (" \n\t", "query"),
        ("\u200b", "query"),
        (["apples", ""], "query[1]"),
        (["  "], "query[0]"),
    ],
)
async def test_a_query_without_words_is_refused(web: Web, query: Any, param: str) -> None:
    """Any passage would be as good as any other."""
    path = await store(web)
    error = await web.refused("POST", f"{path}/search", json={"query": query})

    assert param == error["param"]
    assert f"Invalid '{param}': there is nothing to look for in it." == error["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e308", "-0.1"])
async def test_weights_that_are_no_weights_are_refused(web: Web, number: str) -> None:
    """As they may come over the wire, whichever of the two it is."""
    path = await store(web)
    for one, other in (("embedding_weight", "text_weight"), ("text_weight", "embedding_weight")):
        weights = f'{{"{one}": {number}, "{other}": 1}}'
        body = f'{{"query": "apples", "ranking_options": {{"hybrid_search": {weights}}}}}'
        await web.refused("POST", f"{path}/search", content=body.encode(), headers=JSON)


async def test_weights_stay_with_the_assistant(web: Web) -> None:
    """As the client gave them."""
    options = {"score_threshold": 0.1, "hybrid_search": WEIGHTS}
    tool = {"type": "file_search", "file_search": {"ranking_options": options}}
    [shown] = (await web.assistant(tools=[tool]))["tools"]

    assert WEIGHTS == shown["file_search"]["ranking_options"]["hybrid_search"]
