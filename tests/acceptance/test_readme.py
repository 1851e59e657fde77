"""The README's sample, run as it stands."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning",  # the SDK says so of every call
    "ignore:unclosed file:ResourceWarning",  # a sample stays short
)
ROOT = Path(__file__).resolve().parents[2]
SUM = "import csv; print(sum(r[5].endswith('-10') for r in csv.reader(open('failed_banks.csv', encoding='cp1252'))))"


def test_the_sample_of_the_readme_runs(
    serve_script: Callable[[list[dict[str, Any]]], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against a scripted model that runs real code on the uploaded file in the real sandbox."""
    [sample] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    address = serve_script(
        [
            {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": SUM}}]},
            {"text": "In 2010: {{tool}}"},
        ]
    )
    monkeypatch.chdir(ROOT)
    exec(compile(sample.replace("http://127.0.0.1:8000", address), "README.md", "exec"), {})

    assert capsys.readouterr().out.startswith("completed In 2010: 157")
