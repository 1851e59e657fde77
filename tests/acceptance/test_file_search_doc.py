"""docs/file-search.md, run as it stands: a file goes in, and a sloppy citation comes out as a sentence on a page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_assistants import Engine, Settings
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.engine.settings import CoreSettings

from .conftest import ServeScript

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "file-search.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
REPORT = "ulta-beauty-q4-fiscal-2022.pdf"
SENTENCE = (
    "During the fourth quarter of fiscal 2022, the Company repurchased 722,457 shares of its "
    "common stock at a cost of $328.1 million."
)
SEARCH = {"tool_calls": [{"name": "file_search", "arguments": {"queries": ["{{user}}"]}}]}
TURNS: list[dict[str, Any]] = [
    SEARCH,
    {"text": f"It bought back 722457 shares ({REPORT}, page 3)."},
]


@pytest.fixture
def said(serve_script: ServeScript, tmp_path: Path) -> list[str]:
    """What the page's program prints, line by line."""
    shutil.copy(ROOT / "examples" / "data" / REPORT, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAMS[0]],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "BASE": serve_script(TURNS)},
        text=True,
        timeout=280,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_program_of_the_page_opens_what_the_model_cited(said: list[str]) -> None:
    """Indexed, found on its page, cited by file and page as models do, and opened at the sentence with the figure."""
    indexed, *found = said[:4]
    answer, opened = said[4:]
    [marker] = re.findall("【[^】]*】", answer)

    assert indexed.startswith("completed ")
    assert int(indexed.split()[1]) > 20_000
    assert f"1.00 {REPORT} 3" == found[0]
    assert f"It bought back 722457 shares {marker}." == answer
    assert opened.startswith(f"{marker} page 3 ")
    assert opened.endswith(SENTENCE)


async def test_the_other_source_of_the_page_serves_passages(tmp_path: Path) -> None:
    """An engine with it answers from it and opens what was cited, without a single file."""
    names: dict[str, Any] = {}
    exec(compile(PROGRAMS[1], "docs/file-search.md", "exec"), names)
    script = tmp_path / "script.yaml"
    said = "It is what was earned before interest [1]."
    script.write_text(yaml.safe_dump({"turns": [SEARCH, {"text": said}]}))
    settings = Settings(
        model=f"scripted:{script}", data=tmp_path / "data", retrievers=(names["Glossary"](),)
    )
    async with Engine.open(settings) as engine:
        services = engine.services
        assistant = await services.assistants.create(
            CreateAssistant.model_validate({"model": "gpt-4o", "tools": [{"type": "file_search"}]})
        )
        thread = {"messages": [{"role": "user", "content": "What is EBITDA?"}]}
        asked = {"assistant_id": assistant.id, "thread": thread}
        run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(asked))
        _ = [event async for event in services.runs.stream(run.id)]
        [answer, _] = (await services.messages.list(run.thread_id, PageQuery())).data
        [cited] = await services.citations.of_message(run.thread_id, answer.id)

    assert "It is what was earned before interest 【1:0†glossary】." == answer.text
    assert ("glossary", "EBITDA") == (cited["passage"]["filename"], cited["passage"]["file_id"])
    assert cited["passage"]["quote"].startswith("EBITDA is what was earned before interest")


def test_settings_that_the_page_names_are_the_defaults() -> None:
    """The figures of its table."""
    settings = CoreSettings()
    assert f"{settings.tool_output_tokens:,} (`tool_output_tokens`)" in PAGE
    assert f"in {settings.reading_seconds:.0f} seconds (`reading_seconds`)" in PAGE
