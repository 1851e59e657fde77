"""Which context, weights and layers fit into a given memory."""

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.loading.devices import Device
from local_assistants.backends.llama_cpp.loading.fitting import Plan, plan
from local_assistants.backends.llama_cpp.loading.inspection import ModelFacts
from local_assistants.backends.llama_cpp.loading.opening import load, load_or_retry, prepare
from local_assistants.engine.errors import AssistantsError, BackendFault
from tests.support.toy_gguf import write_random_model

GB = 1_000_000_000
PLENTY = 64 * GB

# Qwen2.5-Coder-1.5B, Q4_K_M, as its header says.
FACTS = ModelFacts(
    path=Path("coder.gguf"),
    name="Coder",
    architecture="qwen2",
    kind="",
    file_bytes=1_117_320_768,
    parts=1,
    trained_context=32768,
    layers=28,
    width=1536,
    feed_forward=8960,
    heads=12,
    vocabulary=151936,
    key_values=(512,) * 28,
    layer_bytes=(28_000_000,) * 28,
    output_bytes=191_445_504,
    weight_bytes=1_106_718_208,
    has_template=True,
    quantisation=15,
)


def planned(memory: int = PLENTY, *, gpus: tuple[int, ...] = (), **settings: Any) -> Plan:
    """The plan for so much memory, and GPUs with so much free."""
    found = [Device("GPU", "made up", 1, free, free) for free in gpus]
    return plan(FACTS, replace(LlamaSettings(), **settings), memory, found)


def refused(memory: int = PLENTY, **settings: Any) -> str:
    """What is said when it does not fit."""
    with pytest.raises(BackendFault) as caught:
        planned(memory, **settings)
    return caught.value.message


def test_with_plenty_everything_is_as_usual() -> None:
    """16,384 tokens, weights in the faster form; the estimate is the library's own figures within a tenth."""
    chosen = planned()
    assert (16384, True, ()) == (chosen.context, chosen.settings.repack, chosen.notes)
    library = (
        1_059_890_000 + 596_530_000 + 170_300_000 + 18_550_000
    ) * 1.048576 + 2 * 28 * 512 * 16384
    assert library <= chosen.bytes <= 1.1 * library


def test_a_model_trained_for_less_gets_less() -> None:
    """Its context is what it was trained for."""
    assert 8192 == plan(replace(FACTS, trained_context=8192), LlamaSettings(), PLENTY).context


def test_an_untold_context_is_no_obstacle() -> None:
    """Some headers do not say what the model was trained for."""
    assert 16384 == plan(replace(FACTS, trained_context=0), LlamaSettings(), PLENTY).context


def test_short_memory_costs_the_second_form_of_the_weights_first() -> None:
    """It only makes things faster."""
    chosen = planned(2 * GB)
    assert (16384, False) == (chosen.context, chosen.settings.repack)
    assert (
        "weights not stored a second time in the faster form: too little memory",
    ) == chosen.notes


def test_shorter_memory_shrinks_the_default_context() -> None:
    """To the most that fits, and says so."""
    chosen = planned(1_500_000_000)
    assert 4096 < chosen.context < 16384
    assert chosen.bytes <= 1_500_000_000
    assert (
        f"context of only {chosen.context} tokens: 1.50 GB of memory can be had" == chosen.notes[0]
    )
    with pytest.raises(BackendFault):
        planned(1_500_000_000, context_tokens=chosen.context + 256)


def test_what_does_not_fit_even_so_is_refused() -> None:
    """With what it would take, and ways out."""
    said = refused(GB)
    assert said.startswith(
        "coder.gguf needs 1.37 GB of memory with a context of 2048 tokens, and 1.00 GB can be had."
    )
    assert "a smaller model" in said


def test_an_explicit_context_that_does_not_fit_names_the_largest() -> None:
    """And that one does fit."""
    said = refused(3 * GB, context_tokens=131072)
    assert (
        "coder.gguf with a context of 131072 tokens needs 5.07 GB of memory, and 3.00 GB can be had."
        in said
    )
    largest = int(said.removesuffix(".").rsplit(" ", 1)[1])
    assert largest == planned(3 * GB, context_tokens=largest).context


def test_an_explicit_context_beyond_the_trained_one_is_a_warning() -> None:
    """The user may know better."""
    chosen = planned(context_tokens=65536)
    assert 65536 == chosen.context
    assert "more than the 32768 that the model was trained for" in chosen.notes[0]


def test_quantised_keys_and_values_take_less() -> None:
    """By the library's block sizes."""
    whole, half, quarter = (
        planned(repack=False, kv_type=kind).bytes for kind in ("f16", "q8_0", "q4_0")
    )
    tokens = 16384 * 28 * 512
    assert (tokens * 2 - tokens * 34 // 32, tokens * 34 // 32 - tokens * 18 // 32) == (
        whole - half,
        half - quarter,
    )


@pytest.mark.parametrize("min_p", [-0.1, 7.0])
def test_min_p_is_a_share(min_p: float) -> None:
    """Anything else would leave no token to choose."""
    assert "min_p is a share" in refused(min_p=min_p)


def test_quantised_keys_and_values_need_flash_attention() -> None:
    """Both settings are named."""
    said = refused(kv_type="q8_0", flash_attention=False)
    assert "q8_0 need flash attention" in said


def test_quantised_keys_and_values_need_heads_that_fit_their_blocks() -> None:
    """The library would refuse it in words that nobody understands."""
    with pytest.raises(BackendFault, match=r"have 20\. Take kv_type f16"):
        plan(replace(FACTS, width=240), LlamaSettings(kv_type="q4_0"), PLENTY)


def test_without_flash_attention_long_contexts_need_buffers() -> None:
    """The scores of every token against every other are written out."""
    assert planned(flash_attention=False).bytes > planned(flash_attention=True).bytes


def test_parked_conversations_leave_the_model_its_room() -> None:
    """They get half of what is left at most."""
    assert 1 << 30 == planned().settings.park_memory
    assert planned(2 * GB).settings.park_memory < 200_000_000


# --- GPUs ------------------------------------------------------------------------------------------


def test_a_large_gpu_takes_all() -> None:
    """The host keeps the token embedding and buffers."""
    chosen = planned(gpus=(24 * GB,))
    assert (29, "all layers on the GPU (1.4 GB)") == (
        chosen.settings.gpu_layers,
        chosen.placement.text,
    )
    assert chosen.bytes < planned().bytes // 3


def test_a_small_gpu_takes_some() -> None:
    """The rest computes on the CPU."""
    chosen = planned(gpus=(GB + GB // 4,))
    assert 0 < (chosen.settings.gpu_layers or 0) < 29
    assert "of 29 layers on the GPU" in chosen.text


def test_layers_that_were_said_are_kept() -> None:
    """None, some, or all of them."""
    assert [0, 5, 29] == [
        planned(gpus=(24 * GB,), gpu_layers=layers).settings.gpu_layers for layers in (0, 5, -1)
    ]


def test_layers_for_no_gpu_are_a_note() -> None:
    """They are no error: the same settings serve on both kinds of machine."""
    chosen = planned(gpu_layers=20)
    assert (0, "gpu_layers has no effect: this llama.cpp sees no GPU") == (
        chosen.settings.gpu_layers,
        chosen.notes[0],
    )


def test_a_gpu_helps_a_host_that_is_too_small() -> None:
    """What lies on the GPU needs no memory of the host."""
    assert 16384 == planned(GB, gpus=(24 * GB,)).context


def test_too_few_bytes_on_the_gpu_are_met_with_fewer_layers_once() -> None:
    """The second attempt's outcome is the answer."""
    tried: list[int] = []

    def attempt(chosen: Plan) -> str:
        tried.append(chosen.placement.layers)
        if chosen.placement.layers > 20:
            raise BackendFault("cudaMalloc failed")
        return chosen.placement.text

    first, second = planned(gpus=(24 * GB,)), planned(gpus=(24 * GB,), gpu_layers=14)
    assert "14 of 29 layers on the GPU (0.8 GB)" == load_or_retry(attempt, first, lambda: second)
    assert [29, 14] == tried


def test_a_second_failure_is_final() -> None:
    """Nothing is tried a third time."""
    tried: list[int] = []

    def attempt(chosen: Plan) -> str:
        tried.append(chosen.placement.layers)
        raise BackendFault("cudaMalloc failed")

    first, second = planned(gpus=(24 * GB,)), planned(gpus=(24 * GB,), gpu_layers=14)
    with pytest.raises(BackendFault, match="cudaMalloc"):
        load_or_retry(attempt, first, lambda: second)
    assert [29, 14] == tried


@pytest.mark.parametrize("gpu", [True, False])
def test_without_layers_on_a_gpu_or_with_explicit_ones_there_is_one_attempt(gpu: bool) -> None:
    """There is nothing else to try, or the user wants it so."""
    tried: list[Plan] = []

    def attempt(chosen: Plan) -> str:
        tried.append(chosen)
        raise BackendFault("no memory")

    chosen = planned(gpus=(24 * GB,), gpu_layers=5) if gpu else planned()
    with pytest.raises(BackendFault):
        load_or_retry(attempt, chosen, None if gpu else lambda: chosen)
    assert 1 == len(tried)


# --- with the library ------------------------------------------------------------------------------


def test_progress_is_told_and_ends_at_one(random_model: Path) -> None:
    """It never goes back."""
    heard: list[float] = []
    loaded = load(random_model, LlamaSettings(threads=1), heard.append)
    loaded.context.free()
    loaded.model.free()
    assert heard == sorted(heard)
    assert 1.0 == heard[-1]
    assert 2048 == loaded.context.size == loaded.plan.context


def test_memory_may_be_bounded(random_model: Path) -> None:
    """A bound too small for the model is an error before the library is asked."""
    with pytest.raises(BackendFault, match=r"needs 0.\d\d GB of memory .* 0.00 GB can be had"):
        load(random_model, LlamaSettings(memory=1_000_000))


async def test_a_model_that_fails_after_its_weights_are_there_leaves_nothing(
    tmp_path: Path,
) -> None:
    """A template that does not parse is found late; memory is given back, try after try."""
    path = write_random_model(tmp_path / "odd.gguf", template="{% if %}")
    pool = LlamaSettings(threads=1, context_tokens=1 << 20)  # 512 MB
    for _ in range(2):
        with pytest.raises(AssistantsError):
            await LlamaCppBackend.open(path, pool)
    before = resident()
    for _ in range(4):
        with pytest.raises(AssistantsError):
            await LlamaCppBackend.open(path, pool)
    assert resident() - before < 256 << 20


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_cancelling_a_load_ends_it(random_model: Path) -> None:
    """Soon, and before the caller goes on; nothing of it stays."""
    heard: list[float] = []
    began, go_on = threading.Event(), threading.Event()

    def listen(share: float) -> None:
        heard.append(share)
        began.set()
        go_on.wait(10)

    opening = asyncio.create_task(
        LlamaCppBackend.open(random_model, LlamaSettings(threads=1), listen)
    )
    await asyncio.to_thread(began.wait, 10)
    opening.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert 1 == len(heard)


# --- a vision part ---------------------------------------------------------------------------------


def test_a_vision_part_takes_its_room_first(random_model: Path, tmp_path: Path) -> None:
    """Its file and what pictures take are counted."""
    eyes = tmp_path / "mmproj.gguf"
    writer = gguf.GGUFWriter(str(eyes), "clip")
    writer.add_tensor("v.patch", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    plain, seeing = (
        prepare(random_model, LlamaSettings(mmproj=mmproj), GB).bytes for mmproj in (None, eyes)
    )
    assert eyes.stat().st_size + (512 << 20) == seeing - plain


def test_a_vision_part_that_is_none(random_model: Path, tmp_path: Path) -> None:
    """Is refused before anything is loaded; so is one that is not there."""
    with pytest.raises(
        BackendFault, match=r"is no vision part \(mmproj\) of a model: it is a model for chat"
    ):
        load(random_model, LlamaSettings(mmproj=random_model))
    with pytest.raises(BackendFault, match=r"Cannot read the model .*none\.gguf"):
        load(random_model, LlamaSettings(mmproj=tmp_path / "none.gguf"))
