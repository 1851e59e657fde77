"""The analyst's benchmark: its known answers are true, and its judge tells right from wrong. No model is asked."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment

ROOT = Path(__file__).parents[3]
PARTS = ROOT / "benchmarks" / "analyst_parts"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A way to the benchmark's modules, which are no package of ours."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])

    def module(name: str) -> Any:
        return importlib.import_module(f"analyst_parts.{name}")

    return module


def test_the_known_answers_are_what_pandas_computes(parts: Any) -> None:
    """Every question has an answer in truth.py, and it is the one that questions.toml names."""
    found = environment.find(paths.interpreter_root())
    if found is None:
        pytest.fail(environment.INSTALL)
    banks = ROOT / "examples" / "data" / "failed_banks.csv"
    command = [str(found.python), str(PARTS / "truth.py"), str(PARTS / "data"), str(banks)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "" == done.stderr
    computed: dict[str, list[Any]] = json.loads(done.stdout)
    for question in parts("questions").questions():
        words = ", ".join(str(part) for part in computed.pop(question.id))
        assert parts("judge").right(question, words), f"{question.id}: {words}"
    assert {} == computed


def test_there_are_enough_questions_and_a_quarter_is_set_aside(parts: Any) -> None:
    """At least 40 on 9 files, under ids of their own; one of the files is fresh."""
    asked = parts("questions").questions()
    assert len(asked) >= 40
    assert len(asked) == len({question.id for question in asked})
    assert 9 == len({question.file for question in asked})
    assert {"co2.csv"} == {question.file for question in asked if question.fresh}
    assert sum(question.set_aside or question.fresh for question in asked) >= len(asked) / 4


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Georgia has the most failures: 93.", True),
        ("GA, with 93 of them", True),
        ("The state is ga (93)", False),
        ("GA", False),
        ("Georgia: 930", False),
        ("Georgia, 93.4", False),
        ("Florida has 76, not 93 as one may think.", False),
        ("Georgia 1 2 3 4 5 6 7 8 9 10 11 12 93", False),
    ],
)
def test_an_answer_needs_every_part_of_the_truth(parts: Any, answer: str, right: bool) -> None:
    """Name and number; a list of numbers is no answer."""
    question = parts("questions").Question("q-1", "x.csv", "?", ("GA|Georgia", 93))
    assert right == parts("judge").right(question, answer)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,234,567.5 people", [1234567.5]),
        ("about 3.8 billion, or 5%", [3.8e9, 5]),
        ("-2.5 and 1e3", [-2.5, 1000]),
        ("in 2009-10, 'v2'", [2009, 10]),
        ("1, 2, 3", [1, 2, 3]),
    ],
)
def test_numbers_are_read_as_people_write_them(parts: Any, text: str, numbers: list[float]) -> None:
    """Thousands, decimals, signs, scales."""
    assert numbers == list(parts("judge").numbers(text))


@pytest.mark.slow
def test_a_scripted_analyst_is_asked_and_judged_on_both_sides(tmp_path: Path) -> None:
    """Through a real engine and sandbox; what was asked is kept, so that a second run with --resume asks nothing."""
    shutil.copytree(
        ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("results")
    )
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = tmp_path / "analyst.yaml"
    script.write_text(
        "turns:\n"
        '  - tool_calls: [{name: code_interpreter, arguments: {code: \'print(len(df[df["State"] == "GA"]))\'}}]\n'
        "  - text: 'It is GA: {{tool}}'\n"
    )
    command = [sys.executable, str(tmp_path / "benchmarks" / "analyst.py"), "--only", "banks-1"]
    command += ["--model", f"scripted:{script}"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert "banks-1 right: 1 calls" in done.stdout, done.stderr
    assert "banks-1 WRONG: 1 calls" in done.stdout
    again = subprocess.run(
        [*command, "--resume"], capture_output=True, text=True, env=environ, check=False
    )
    assert "banks-1" not in again.stdout
    assert "helped: right of 1 " in again.stdout
