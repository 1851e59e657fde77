"""What is said of models without loading them: `models show`, and `doctor` on each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from local_assistants.backends.llama_cpp.loading import trial
from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.cli.model_checks import verdict
from local_assistants.models_file import ModelConfig
from tests.support.toy_gguf import write_random_model

Machine = Callable[[], Path]
Said = pytest.CaptureFixture[str]


def shown(capsys: Said, *arguments: str, code: int = exit_codes.DONE) -> dict[str, Any]:
    """What `models show --json` prints."""
    assert code == run(["models", "show", "--json", *arguments])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def unknown_model(path: Path) -> Path:
    """A good GGUF of an architecture that nobody has written yet."""
    writer = gguf.GGUFWriter(str(path), "martian")
    writer.add_block_count(1)
    writer.add_tensor("blk.0.weight", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_facts_and_memory(empty_machine: Machine, capsys: Said) -> None:
    """As JSON: the header's facts, the need by context, whether it can be loaded."""
    path = write_random_model(empty_machine() / "toy.gguf", context=8192)
    found = shown(capsys, "toy")
    assert {
        "file": str(path),
        "bytes": path.stat().st_size,
        "parts": 1,
        "title": "toy",
        "architecture": "llama",
        "quantisation": None,
        "layers": 2,
        "vocabulary": 362,
        "trained_context": 8192,
        "chat_template": True,
        "kind": "chat",
        "loads": True,
    } == {key: value for key, value in found.items() if key not in ("memory", "verdict")}
    assert ["4096", "8192"] == list(found["memory"])
    assert 4096 * 2 * 128 * 2 == found["memory"]["8192"] - found["memory"]["4096"]
    assert found["verdict"].startswith("can be loaded: context 8192 tokens, on the CPU, 0.0")


def test_the_context_that_is_asked_for(empty_machine: Machine, capsys: Said) -> None:
    """Replaces the examples; more than the model was trained for is said."""
    write_random_model(empty_machine() / "toy.gguf")
    found = shown(capsys, "toy", "--context", "4096")
    assert ["4096"] == list(found["memory"])
    assert "more than the 2048 that the model was trained for" in found["verdict"]


def test_for_people(empty_machine: Machine, capsys: Said) -> None:
    """A table and the verdict."""
    write_random_model(empty_machine() / "toy.gguf")
    assert exit_codes.DONE == run(["models", "show", "toy"])
    lines = capsys.readouterr().out.splitlines()
    assert "trained for  2048 tokens of context" in [line.strip() for line in lines]
    assert lines[-1].startswith("can be loaded: ")


def test_a_context_that_does_not_fit_is_code_1(empty_machine: Machine, capsys: Said) -> None:
    """And the largest that does is named."""
    write_random_model(empty_machine() / "toy.gguf")
    found = shown(capsys, "toy", "--context", "2000000000", code=exit_codes.CHECK_FAILED)
    assert not found["loads"]
    assert "The largest context that fits is" in found["verdict"]


def test_a_file_that_is_no_model_is_code_4(empty_machine: Machine, capsys: Said) -> None:
    """In one sentence."""
    (empty_machine() / "page.gguf").write_bytes(b"<html>")
    assert exit_codes.CANNOT == run(["models", "show", "page"])
    assert "is not a GGUF file: it is a web page" in capsys.readouterr().err


def test_an_architecture_that_the_library_does_not_know(empty_machine: Machine) -> None:
    """Is found by asking the library, in a process of its own."""
    path = unknown_model(empty_machine() / "mars.gguf")
    found = verdict(ModelConfig(str(path)), path)
    assert not found.ok
    assert "unknown model architecture: 'martian'" in found.text


def test_the_library_is_asked_without_loading(tmp_path: Path) -> None:
    """It has nothing against a good model."""
    assert "" == trial.refusal(write_random_model(tmp_path / "toy.gguf"))


def test_doctor_tells_of_every_model(empty_machine: Machine, capsys: Said) -> None:
    """Whether it can be loaded, and with what; a broken one is advice, since another may be served."""
    folder = empty_machine()
    write_random_model(folder / "good.gguf")
    whole = write_random_model(folder / "cut.gguf")
    whole.write_bytes(whole.read_bytes()[:5000])
    embedder = gguf.GGUFWriter(str(folder / "vectors.gguf"), "bert")
    embedder.add_tensor("a", np.zeros(32, dtype=np.float32))
    embedder.write_header_to_file()
    embedder.write_kv_data_to_file()
    embedder.write_tensors_to_file()
    embedder.close()
    run(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert [True, False, True] == [
        checks[f"model {name}"]["ok"] for name in ("good", "cut", "vectors")
    ]
    assert "can be loaded: context 2048 tokens, on the CPU" in checks["model good"]["detail"]
    assert "is cut off" in checks["model cut"]["detail"]
    assert not checks["model cut"]["needed"]
    assert "not for chat: it is an embedding model" in checks["model vectors"]["detail"]
    assert checks["gpu"]["ok"]


def test_doctor_looks_at_what_the_environment_names(
    empty_machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    """Those are needed: a model that is not there or too large for its settings fails the check."""
    write_random_model(empty_machine() / "toy.gguf")
    file = tmp_path / "models.toml"
    file.write_text(
        """
        memory_budget = "200 MB"
        [[model]]
        source = "toy"
        [[model]]
        name = "long"
        source = "toy"
        context_tokens = 500000
        [[model]]
        source = "nowhere"
        [[model]]
        name = "far"
        endpoints = ["http://127.0.0.1:9/v1"]
        """
    )
    monkeypatch.setenv("LOCAL_ASSISTANTS_MODELS", str(file))
    assert exit_codes.CHECK_FAILED == run(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["served toy"]["ok"]
    assert "0.20 GB can be had" in checks["served long"]["detail"]
    assert "No model 'nowhere'" in checks["served nowhere"]["detail"]
    assert [False, True] == [checks["served long"]["ok"], checks["served long"]["needed"]]
    assert "served far" not in checks
    assert "model" not in checks


def test_doctor_tells_of_a_wrong_models_file(
    empty_machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    """In the words of the file's reader."""
    monkeypatch.setenv("LOCAL_ASSISTANTS_MODELS", str(tmp_path / "none.toml"))
    assert exit_codes.CHECK_FAILED == run(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert "Cannot read the models file" in checks["served models file"]["detail"]
