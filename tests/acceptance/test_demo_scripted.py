"""The demo and the examples, whole: real server, sandbox, index and SDK; only the model is scripted."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_assistants.cli.demo import made_files
from local_assistants.cli.demo.server_process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]

# One turn for all chapters: a run has only the tools of its own assistant, and the code looks at what was asked.
SCRIPT = r"""
turns:
  - tool_calls:
      - name: code_interpreter
        arguments:
          code: |
            import collections, csv, os
            rows = list(csv.DictReader(open("/mnt/data/failed_banks.csv", encoding="utf-8")))
            key = next(name for name in rows[0] if name.strip() == "State")
            counts = collections.Counter(row[key].strip() for row in rows).most_common()
            question = '''{{user}}'''
            if "chart" in question:
                import matplotlib.pyplot as plt
                plt.bar(*zip(*counts))
                plt.show()
            elif "Excel" in question:
                import openpyxl
                book = openpyxl.Workbook()
                for row in counts:
                    book.active.append(row)
                book.save("/mnt/data/report.xlsx")
            elif "listdir" in question:
                print(sorted(os.listdir("/mnt/data")))
            else:
                print(counts[0])
      - {name: file_search, arguments: {queries: ["shares repurchased in the fourth quarter"]}}
      - {name: get_weather, arguments: {city: Tokyo}}
      - {name: get_exchange_rate, arguments: {currency: JPY}}
  - text: >-
      Georgia (GA) had 93 failures, Florida (FL) 12. During the fourth quarter the company repurchased 722,457 shares.
      There will be light rain at 23 degrees, and a dollar buys 149.2 yen.
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    """What `--model` takes."""
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)
    return f"scripted:{path}"


@pytest.fixture
def address(script: str, tmp_path: Path) -> Iterator[str]:
    """A server of its own, as `serve` starts it."""
    with ServerProcess(script, tmp_path / "data", tmp_path / "server.log") as server:
        yield server.start()


def run_demo(script: str, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`local-assistants demo` in a process of its own."""
    command = [sys.executable, "-m", "local_assistants", "demo", "--model", script]
    command += ["--output", str(output), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_does_the_whole_job(script: str, tmp_path: Path) -> None:
    """Every part works, files are there, the one wrong answer is shown with the truth and fails nothing."""
    done = run_demo(script, tmp_path / "output")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "the product did its part in 10 of 10 checks" in done.stdout
    assert "the model was right in 6 of 7 answers" in done.stdout
    assert "model, not so: names the second state (truth Florida (FL), 76)" in done.stdout
    assert "page 3: “" in done.stdout
    assert made_files.png_size((tmp_path / "output" / "failures-by-state.png").read_bytes())
    assert {"GA", "93"} <= made_files.xlsx_values(tmp_path / "output" / "failures-by-state.xlsx")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_interrupted_demo_stops_its_server_and_can_go_on(script: str, tmp_path: Path) -> None:
    """After SIGTERM nothing runs; --resume leaves out the finished chapter and goes on with its thread."""
    command = [sys.executable, "-m", "local_assistants", "demo", "--model", script]
    command += ["--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        for _ in range(1200):
            if (tmp_path / "progress.json").exists():
                break
            time.sleep(0.05)
        demo.send_signal(signal.SIGTERM)
        said, _ = demo.communicate()
    assert 130 == demo.returncode, said
    assert "The server is stopped" in said
    resumed = run_demo(script, tmp_path, "--resume")

    assert 0 == resumed.returncode, resumed.stdout + resumed.stderr
    assert "finished before the interruption" in resumed.stdout
    assert "the product did its part in 10 of 10 checks" in resumed.stdout
    assert not (tmp_path / "progress.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("analyst.py", r"\('GA', 93\).*Georgia \(GA\) had 93"),
        ("analyst.py TABLE CHART", r"saved chart\.png"),
        ("ask_a_document.py", r"\[1\] ulta-beauty-q4-fiscal-2022\.pdf, page 3: .*722,457 shares"),
        ("functions.py", r"get_weather\(.*\) -> .*\nget_exchange_rate\(.*149\.2.*\n.*149\.2 yen"),
        ("azure.py", r"Georgia \(GA\) had 93.*\nThe run completed\."),
    ],
)
def test_an_example_runs_as_it_stands(
    name: str, expected: str, address: str, tmp_path: Path
) -> None:
    """With nothing but an address in the environment, and what may be said on the command line."""
    said = {"TABLE": str(ROOT / "examples/data/failed_banks.csv"), "CHART": "Draw a chart."}
    example, *arguments = [said.get(word, word) for word in name.split()]
    urls = {"OPENAI_BASE_URL": f"{address}/v1", "AZURE_OPENAI_ENDPOINT": address}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example), *arguments],
        env={**os.environ, **urls, "NO_PROXY": "127.0.0.1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert re.search(expected, done.stdout, re.DOTALL), done.stdout


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name
)
def test_an_example_fits_on_a_page(path: Path) -> None:
    """Examples are read before they are run; what takes a whole account along is a program on two pages."""
    pages = 2 if path.name == "dump_with_sdk.py" else 1
    assert len(path.read_text().splitlines()) <= pages * 72
