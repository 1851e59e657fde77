"""How many layers go onto GPUs, on GPUs made up for the purpose."""

from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.loading.devices import (
    Device,
    Placement,
    ask_for_gpus,
    built_for_gpus,
    choose_layers,
    devices,
    find_gpus,
    gpus,
)
from local_assistants.backends.llama_cpp.native import bindings

GB = 1_000_000_000
MIB = 1 << 20


def gpu(free: int) -> Device:
    """A GPU with so much free memory."""
    return Device("GPU0", "made up", 1, free, 2 * free)


def chosen(*free: int, layers: int = 10) -> Placement:
    """Where ten layers of 1 GB with 0.1 GB of keys and values and an output of 2 GB go."""
    sizes = [GB] * layers + [2 * GB]
    return choose_layers(sizes, [GB // 10] * layers, GB // 2, [gpu(each) for each in free])


@pytest.mark.parametrize(
    ("free", "layers"),
    [
        (24 * GB, 11),  # all: 10 and the output
        (13 * GB + GB // 2 + 256 * MIB, 11),  # to the byte
        (13 * GB + GB // 2 + 256 * MIB - 1, 10),
        (8 * GB, 5),  # the output and four: 6.4 of 7.2
        (4 * GB, 2),
        (3 * GB, 0),  # the output alone is not worth it
        (0, 0),
    ],
)
def test_as_many_layers_as_fit(free: int, layers: int) -> None:
    """With room left for buffers and for others."""
    placed = chosen(free)
    assert (layers, 11) == (placed.layers, placed.of)
    assert placed.bytes <= max(0, free - GB // 2 - 256 * MIB)


def test_several_gpus_are_filled_together() -> None:
    """Each may be left with a gap of nearly a layer, the largest being 2 GB."""
    assert 0 == chosen(3 * GB, 3 * GB).layers
    assert 11 == chosen(10 * GB, 10 * GB).layers
    assert 2 == chosen(10 * GB, 10 * GB).devices


def test_no_gpu_no_layers() -> None:
    """And the text says so."""
    assert ("on the CPU", 0) == (chosen().text, chosen().layers)


@pytest.mark.parametrize(
    ("free", "text"),
    [
        (24 * GB, "all layers on the GPU (13.0 GB)"),
        (8 * GB, "5 of 11 layers on the GPU (6.4 GB)"),
        (GB, "on the CPU: no layer fits the GPU's free memory"),
    ],
)
def test_the_choice_in_words(free: int, text: str) -> None:
    """For the log and for whoever looks at the model."""
    assert text == chosen(free).text


def test_the_library_tells_of_its_devices() -> None:
    """There is always a CPU, with memory; it is no GPU."""
    bindings()
    cpus = [device for device in devices() if device.kind == 0]
    assert cpus
    assert cpus[0].name == "CPU"
    assert cpus[0].total > 64 * MIB
    assert not set(cpus) & set(gpus(bindings()))


def test_asking_from_outside_gives_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """Whether the machine has a GPU or not, and without a complaint."""
    here = [each.name for each in gpus(bindings())]
    assert here == [each.name for each in ask_for_gpus()]
    assert here == [each.name for each in find_gpus()]
    assert "" == caplog.text


@pytest.mark.parametrize(
    ("file", "gpu"),
    [
        ("libggml-cuda.so", True),
        ("libggml-metal.dylib", True),
        ("ggml-vulkan.dll", True),
        ("libggml-cpu-haswell.so", False),
        ("libggml-base.so.0", False),
        ("libggml.so", False),
    ],
)
def test_what_the_library_was_built_for(tmp_path: Path, file: str, gpu: bool) -> None:
    """Is seen by its files, without loading them."""
    (tmp_path / file).touch()
    assert gpu == built_for_gpus(tmp_path)
