"""The job of an analyst with the real 1.5B model: questions about the failed banks, answered by code of its own."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_assistants import assemble, catalogue
from tests.support.conversation import Conversation
from tests.support.live_server import LiveServer

BANKS = Path(__file__).parents[2] / "examples" / "data" / "failed_banks.csv"
# What was counted with the csv module: a question, and what its answer must hold.
QUESTIONS = {
    "Which state has the most bank failures, and how many?": r"(Georgia|\bGA\b).*\b93\b|\b93\b.*(Georgia|\bGA\b)",
    "How many bank failures are in the file in total?": r"\b568\b",
    "How many bank failures were there in 2010?": r"\b157\b",
    "How many of the failed banks were in the state of Florida (FL)?": r"\b76\b",
}
ENOUGH = 2
"""Right answers that a model of this size has to give; how many of many it gives is measured by `bench analyst`."""


@pytest.mark.model
@pytest.mark.timeout(1800)
def test_the_model_finds_the_answers_in_the_table(
    serve_settings: Callable[[assemble.Settings], LiveServer],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every run is completed and every answer stands on code that ran; some are right, all are printed."""
    server = serve_settings(
        assemble.Settings(model=catalogue.DEFAULT, data=tmp_path / "data", port=0)
    )
    told: list[str] = []
    right = 0
    for question, truth in QUESTIONS.items():
        with Conversation(server.address, model=catalogue.DEFAULT, temperature=0) as talk:
            answer = talk.say(question, talk.upload(BANKS.name, BANKS.read_bytes()))
        value = answer.text["value"]
        assert "completed" == answer.run["status"]
        assert answer.code
        right += bool(re.search(truth, value, re.DOTALL))
        told.append("\n".join([f"\n# {question}", *answer.code, f"# {value!r}"]))
    with capfd.disabled():
        sys.stdout.write("\n" + "\n".join(told) + f"\n{right} of {len(QUESTIONS)} right\n")

    assert right >= ENOUGH
