"""What a GGUF is, found out without loading it, whatever is in the file."""

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from local_assistants.backends.llama_cpp import LlamaSettings
from local_assistants.backends.llama_cpp.loading.fitting import plan
from local_assistants.backends.llama_cpp.loading.gguf import BLOCKS, read_header
from local_assistants.backends.llama_cpp.loading.inspection import inspect
from local_assistants.engine.errors import BackendFault
from tests.support.toy_gguf import write_random_model

Write = Callable[[gguf.GGUFWriter], None]


def written(path: Path, architecture: str, write: Write | None = None, *, tensors: int = 1) -> Path:
    """A GGUF with the metadata that `write` adds and some small tensors."""
    writer = gguf.GGUFWriter(str(path), architecture)
    if write is not None:
        write(writer)
    for number in range(tensors):
        writer.add_tensor(f"blk.{number}.weight", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def refusal(path: Path) -> str:
    """What is said of a file that cannot be served: to anybody its name, in logs and on a terminal also where it is."""
    with pytest.raises(BackendFault) as caught:
        inspect(path).require_chat()
    assert str(path.parent) not in caught.value.message
    assert str(caught.value).endswith(f"{path})")
    return caught.value.message


def test_facts_of_a_model(random_model: Path) -> None:
    """They are those that it was written with, and every byte of its tensors is somewhere."""
    facts = inspect(random_model)
    assert ("llama", 2, 64, 128, 4) == (
        facts.architecture,
        facts.layers,
        facts.width,
        facts.feed_forward,
        facts.heads,
    )
    assert (2048, 362, True, "") == (
        facts.trained_context,
        facts.vocabulary,
        facts.has_template,
        facts.kind,
    )
    assert (128, 128) == facts.key_values
    layer = 4 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64)
    head = 4 * (362 * 64 + 64)
    assert ((layer, layer), head) == (facts.layer_bytes, facts.output_bytes)
    assert 2 * layer + head + 4 * 362 * 64 == facts.weight_bytes


def test_the_library_and_we_agree_on_sizes() -> None:
    """Of every kind of tensor."""
    assert {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()} == BLOCKS


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    """What is remembered is of that file only."""
    path = write_random_model(tmp_path / "a.gguf", context=2048)
    assert 2048 == inspect(path).trained_context
    write_random_model(path, context=512, template=None)
    assert (512, False) == (inspect(path).trained_context, inspect(path).has_template)


def test_layers_without_attention_keep_nothing(tmp_path: Path) -> None:
    """Heads may be said for each layer."""

    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_block_count(3)
        writer.add_embedding_length(64)
        writer.add_head_count([4, 4, 4])
        writer.add_head_count_kv([2, 0, 2])

    facts = inspect(written(tmp_path / "hybrid.gguf", "jamba", write))
    assert (4, (64, 0, 64)) == (facts.heads, facts.key_values)


def test_a_long_vocabulary_is_stepped_over(tmp_path: Path) -> None:
    """Texts that cross the window that is read at a time are counted like others."""

    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_token_list(["x" * (size * 7919 % 3000) for size in range(2000)])
        writer.add_token_scores([0.5] * 6000)
        writer.add_context_length(77)

    facts = inspect(written(tmp_path / "long.gguf", "llama", write))
    assert (2000, 77) == (facts.vocabulary, facts.trained_context)


def test_a_text_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    """Is stepped over in a list, and kept as a template."""

    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_token_list(["a", "b" * 3_000_000, "c"])
        writer.add_chat_template("t" * 2_000_000)

    facts = inspect(written(tmp_path / "wide.gguf", "llama", write))
    assert (3, True) == (facts.vocabulary, facts.has_template)


# --- files that are something else -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "called"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "a zip archive or a PyTorch checkpoint"),
        (b"\x80\x02}q\x00", "a pickled PyTorch checkpoint"),
        (b'\x40\x00\x00\x00\x00\x00\x00\x00{"__metadata__":{}}', "a safetensors file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\n <HTML>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a Git LFS pointer"),
        (b'{"error": "not found"}', "JSON, perhaps the error message of a download"),
        (b"tjgg\x03\x00\x00\x00", "a GGML file, the format before GGUF"),
        (b"\x1f\x8b\x08", "gzip-compressed"),
        (b"hello", "of a kind that is not known here"),
    ],
)
def test_a_foreign_file_is_called_by_its_name(tmp_path: Path, content: bytes, called: str) -> None:
    """So that the user sees what went wrong with the download or the command line."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert f"{path.name} is not a GGUF file: it is {called}" in refusal(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """Is named."""
    assert "Cannot read the model no.gguf: No such file" in refusal(tmp_path / "no.gguf")


def test_a_folder(tmp_path: Path) -> None:
    """Is no file."""
    assert f"{tmp_path.name} is a folder. Name the GGUF file in it." == refusal(tmp_path)


def test_a_pipe(tmp_path: Path) -> None:
    """Is not waited for."""
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "pipe.gguf is no file." == refusal(tmp_path / "pipe.gguf")


def test_a_loop_of_links(tmp_path: Path) -> None:
    """Cannot be read, and that is all that happens."""
    (tmp_path / "a.gguf").symlink_to(tmp_path / "b.gguf")
    (tmp_path / "b.gguf").symlink_to(tmp_path / "a.gguf")
    assert "Cannot read the model" in refusal(tmp_path / "a.gguf")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (1, "is a GGUF of version 1; versions 2 to 3 can be read"),
        (9, "is a GGUF of version 9"),
        (3 << 24, "was written for machines of the other byte order"),
    ],
)
def test_a_version_that_cannot_be_read(tmp_path: Path, version: int, said: str) -> None:
    """Says which can."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + version.to_bytes(4, "little") + bytes(64))
    assert said in refusal(path)


def general_type(kind: str) -> Write:
    """Writes what kind of GGUF it is."""
    return lambda writer: writer.add_type(kind)


def pooling(writer: gguf.GGUFWriter) -> None:
    """Embeds by the last token."""
    writer.add_pooling_type(gguf.PoolingType.LAST)


@pytest.mark.parametrize(
    ("architecture", "write", "said"),
    [
        ("bert", None, "an embedding model"),
        ("qwen3", pooling, "an embedding model"),
        ("clip", None, "the vision part (mmproj) of a model"),
        ("llama", general_type("mmproj"), "the vision part (mmproj) of a model"),
        ("llama", general_type("adapter"), "a LoRA adapter"),
        ("", None, "no model: its header names no architecture"),
    ],
)  # fmt: skip
def test_a_gguf_that_cannot_chat(tmp_path: Path, architecture: str, write: Any, said: str) -> None:
    """Is refused as a chat model, though it is a good file."""
    path = written(tmp_path / "other.gguf", architecture, write)
    assert refusal(path).startswith(f"{path.name} cannot chat: it is {said}")


def test_a_vocabulary_alone_cannot_chat(tmp_path: Path) -> None:
    """There is nothing to compute with."""
    path = written(tmp_path / "vocab.gguf", "llama", tensors=0)
    assert "a vocabulary without weights" in refusal(path)


# --- models in parts -------------------------------------------------------------------------------


def parts(folder: Path, count: int) -> list[Path]:
    """A split model."""
    paths: list[Path] = []
    for number in range(count):

        def write(writer: gguf.GGUFWriter, number: int = number) -> None:
            writer.add_uint16("split.no", number)
            writer.add_uint16("split.count", count)
            if number == 0:
                writer.add_block_count(1)

        name = f"big-{number + 1:05}-of-{count:05}.gguf"
        paths.append(written(folder / name, "llama", write))
    return paths


def test_a_model_in_parts_is_one(tmp_path: Path) -> None:
    """Sizes are those of all parts."""
    files = parts(tmp_path, 3)
    facts = inspect(files[0])
    assert (3, 3 * 128) == (facts.parts, facts.weight_bytes)
    assert sum(file.stat().st_size for file in files) == facts.file_bytes


def test_a_later_part_names_the_first(tmp_path: Path) -> None:
    """The library wants that one."""
    files = parts(tmp_path, 3)
    assert f"{files[1].name} is part 2 of 3: name {files[0].name}." == refusal(files[1])


def test_missing_parts_are_named(tmp_path: Path) -> None:
    """Those and no others."""
    files = parts(tmp_path, 4)
    files[1].unlink()
    files[3].unlink()
    assert refusal(files[0]).endswith(f"beside it: {files[1].name}, {files[3].name}.")


def test_a_renamed_part_is_told_its_name(tmp_path: Path) -> None:
    """Without its number the others are not found."""
    files = parts(tmp_path, 2)
    renamed = files[0].rename(tmp_path / "model.gguf")
    assert "must keep its name (…-00001-of-00002.gguf)" in refusal(renamed)


# --- files that are not whole ----------------------------------------------------------------------


def test_a_truncated_file_says_how_much_is_missing(random_model: Path) -> None:
    """And how to get it again."""
    header = read_header(random_model)
    with random_model.open("r+b") as file:
        file.truncate(header.wanted_bytes - 1000)
    assert (
        f"{random_model.name} is cut off: 1,000 of its {header.wanted_bytes:,} bytes are missing. Delete it and get it "
        "again: local-assistants models pull NAME, or from where it came."
    ) == refusal(random_model)


def test_truncated_anywhere(random_model: Path, tmp_path: Path) -> None:
    """At every byte of the header's first part, and at many later ones."""
    whole = random_model.read_bytes()
    header = read_header(random_model)
    cuts = [*range(4, 400), *range(400, header.wanted_bytes, 997)]
    for cut in cuts:
        path = tmp_path / "cut.gguf"
        path.write_bytes(whole[:cut])
        assert "is cut off" in refusal(path), cut


def test_random_damage_is_never_more_than_a_fault(random_model: Path, tmp_path: Path) -> None:
    """Three hundred files with flipped, grown and shrunken bytes in their header: a fault or an answer, at once."""
    rng = random.Random(20261123)
    whole = random_model.read_bytes()
    end = read_header(random_model).data_offset
    refused = 0
    for case in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            place = rng.randrange(4, end)
            damaged[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        if case % 3 == 0:  # a whole count or length
            place = rng.randrange(8, end - 8)
            number = rng.choice([2**64 - 1, 2**63, 2**31, 2**20, 0])
            damaged[place : place + 8] = number.to_bytes(8, "little")
        path = tmp_path / "damaged.gguf"
        path.write_bytes(damaged)
        try:
            facts = inspect(path)
        except BackendFault:
            refused += 1
        else:
            assert facts.weight_bytes >= 0
            assert len(facts.layer_bytes) == facts.layers == len(facts.key_values)
    assert 30 < refused < 300


ODD: tuple[tuple[gguf.GGUFValueType, Any], ...] = (
    (gguf.GGUFValueType.STRING, "many"),
    (gguf.GGUFValueType.FLOAT32, float("nan")),
    (gguf.GGUFValueType.FLOAT64, 1e300),
    (gguf.GGUFValueType.BOOL, True),
    (gguf.GGUFValueType.INT64, -(2**63)),
    (gguf.GGUFValueType.UINT64, 2**64 - 1),
    (gguf.GGUFValueType.ARRAY, [float("nan"), float("inf")]),
    (gguf.GGUFValueType.ARRAY, [True, False]),
    (gguf.GGUFValueType.ARRAY, ["a", "b"]),
    (gguf.GGUFValueType.ARRAY, [2**31 - 1, -1]),
)


@pytest.mark.parametrize("kind", range(len(ODD)))
@pytest.mark.parametrize(
    "key",
    [
        "general.type",
        "general.name",
        "general.file_type",
        "general.alignment",
        "split.count",
        "tokenizer.ggml.tokens",
        "tokenizer.chat_template",
        *(
            f"llama.{name}"
            for name in (
                "block_count",
                "context_length",
                "embedding_length",
                "feed_forward_length",
                "pooling_type",
                "vocab_size",
                "attention.head_count",
                "attention.head_count_kv",
                "attention.key_length",
            )
        ),
    ],
)
def test_odd_values_are_never_more_than_a_fault(tmp_path: Path, key: str, kind: int) -> None:
    """Of every kind, under every key that is looked at; what is made of them fits into a plan, or does not."""

    def write(writer: gguf.GGUFWriter) -> None:
        if key != "llama.block_count":
            writer.add_block_count(2)
        type_, value = ODD[kind]
        writer.add_key_value(key, value, type_)

    path = written(tmp_path / "odd.gguf", "llama", write)
    with contextlib.suppress(BackendFault):  # anything else is an error of this test's
        plan(inspect(path), LlamaSettings(), 8 << 30)


@pytest.mark.parametrize(
    ("place", "number", "said"),
    [
        (8, 2**40, "speaks of 1,099,511,627,776 tensors"),
        (16, 2**40, "speaks of 1,099,511,627,776 metadata keys"),
        (24, 2**40, "speaks of a text of 1,099,511,627,776 bytes"),
    ],
)
def test_a_count_beyond_all_measure(random_model: Path, place: int, number: int, said: str) -> None:
    """Is not believed, whatever memory there is."""
    with random_model.open("r+b") as file:
        file.seek(place)
        file.write(number.to_bytes(8, "little"))
    assert said in refusal(random_model)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    assert "File name too long" in refusal(tmp_path / ("x" * 300 + ".gguf"))
