"""Importing the package is quick and brings in nothing heavy."""

import json
import resource
import statistics
import subprocess
import sys

import pytest

HEAVY = {
    "chromadb",
    "jupyter_client",
    "llama_cpp",
    "numpy",
    "openai",
    "pypdf",
    "sentence_transformers",
    "sqlite_utils",
    "torch",
    "transformers",
    "zmq",
}
CPU_SECONDS = 0.3


@pytest.mark.parametrize("module", ["local_assistants", "local_assistants.cli.app"])
def test_import_brings_in_nothing_heavy(module: str) -> None:
    """A fresh Python that imports the module has loaded no heavy package."""
    script = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert set() == {name.split(".")[0] for name in json.loads(done.stdout)} & HEAVY


def test_import_takes_less_than_three_tenths_of_a_second() -> None:
    """Over a bare Python; processor time, because wall time on a busy machine says nothing of the import."""
    bare = statistics.median(_cpu_seconds("pass") for _ in range(3))
    ours = statistics.median(_cpu_seconds("import local_assistants") for _ in range(3))

    assert ours - bare < CPU_SECONDS


def _cpu_seconds(script: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
