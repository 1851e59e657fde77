"""The context: kinds of keys and values, flash attention, sizes that do not go together, and its one output per row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.context import NativeContext, Outcome
from local_assistants.backends.llama_cpp.native import NativeModel
from local_assistants.backends.llama_cpp.settings import LlamaSettings, default_threads
from local_assistants.engine.errors import BackendFault
from tests.support.scheduling import Desk
from tests.support.toy_gguf import write_random_model, write_saying_model
from tests.unit.backends.conftest import TOY_SETTINGS

# So many that the width is a multiple of 4 x 32: quantised keys need heads of whole blocks.
WORDS = [f"w{number} " for number in range(140)]


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("flash_attention", [None, True])
def test_kinds_of_keys_and_values_say_the_same(
    tmp_path: Path, kv_type: str, flash_attention: bool | None
) -> None:
    """A model that depends on its last token only is not hurt by quantised memory."""
    path = write_saying_model(tmp_path / "says.gguf", WORDS)
    settings = replace(TOY_SETTINGS, kv_type=kv_type, flash_attention=flash_attention)  # type: ignore[arg-type]
    desk = Desk(path, settings)
    _, heard = desk.ask("hello")
    text = heard.over().text
    desk.close()
    assert "".join(WORDS) == text


def test_flash_attention_can_be_turned_off(tmp_path: Path) -> None:
    """The scores differ a little, as another kernel's do, and no more than that."""
    model = NativeModel(write_random_model(tmp_path / "random.gguf"), TOY_SETTINGS)
    scores: list[np.ndarray] = []
    for flash_attention in (True, False):
        context = NativeContext(model, replace(TOY_SETTINGS, flash_attention=flash_attention))
        assert Outcome.DONE is context.decode([Span(list(range(5, 45)), 0, 0, wants_logits=True)])
        scores.append(context.logits(39).copy())
        context.free()
    model.free()
    assert np.abs(scores[0] - scores[1]).max() < 0.1
    assert not np.array_equal(scores[0], scores[1])


def test_heads_that_no_block_fits_are_an_error_that_says_so(tmp_path: Path) -> None:
    """A model whose heads are too small for quantised keys is refused at load."""
    model = NativeModel(write_random_model(tmp_path / "random.gguf"), TOY_SETTINGS)
    with pytest.raises(BackendFault, match=r"q8_0.*another kind"):
        NativeContext(model, replace(TOY_SETTINGS, kv_type="q8_0"))
    model.free()


@pytest.mark.parametrize(
    "sizes",
    [
        {"context_tokens": 1, "sequences": 256, "parallel": 256},
        {"prefill_chunk": 1, "sequences": 200},
        {"prefill_chunk": 4096, "context_tokens": 256},
        {"sequences": 1, "parallel": 64},
    ],
)
def test_extreme_sizes_neither_abort_nor_lose_turns(tmp_path: Path, sizes: dict[str, int]) -> None:
    """A batch smaller than the number of sequences would end the process; here all come out right."""
    path = write_saying_model(tmp_path / "says.gguf", WORDS[:20])
    desk = Desk(path, LlamaSettings(**{"context_tokens": 512, "threads": 1, **sizes}))  # type: ignore[arg-type]
    heard = [desk.ask(f"question {number}")[1] for number in range(5)]
    said = {each.over().text for each in heard}
    desk.close()
    assert {"".join(WORDS[:20])} == said


def test_default_threads_leave_one_where_there_are_three() -> None:
    """Of one or two cores all are needed."""
    assert [1, 2, 2, 3, 15] == [default_threads(cores) for cores in (1, 2, 3, 4, 16)]
