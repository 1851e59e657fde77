"""What a GGUF is, without loading it: architecture, sizes, where its bytes go, and whether it can chat at all.

Reads headers only (`gguf`), so it is quick (0.1 s for a vocabulary of 150,000 tokens) and cannot end the process. Files
that are something else are called by their name. It does not know which architectures the library can run.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ....engine.errors import BackendFault
from .gguf import MAGIC, Header, Listed, Value, read_header, unreadable

_SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<count>\d{5})\.gguf")
_MOST_PARTS = 1024
_MOST_LAYERS = 4096
_REMEMBERED = 64
_seen: dict[tuple[Path, int, int], "ModelFacts"] = {}

# What the bytes at the beginning of other files look like, and what to say of them.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive or a PyTorch checkpoint"),
    (b"\x80\x02", "a pickled PyTorch checkpoint"),
    (b"\x80\x03", "a pickled PyTorch checkpoint"),
    (b"\x80\x04", "a pickled PyTorch checkpoint"),
    (b"version https://git-lfs", "a Git LFS pointer: the weights themselves were not fetched (git lfs pull)"),
    (b"lmgg", "a GGML file, the format before GGUF"),
    (b"tjgg", "a GGML file, the format before GGUF"),
    (b"fmgg", "a GGML file, the format before GGUF"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x89HDF", "an HDF5 (Keras) file"),
)  # fmt: skip

_EMBEDDERS = frozenset(
    (
        "bert",
        "modern-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "neo-bert",
        "jina-bert-v2",
        "jina-bert-v3",
    )
    + ("eurobert", "gemma-embedding", "t5encoder", "llama-embed")
)
_OTHER_KINDS = {
    "adapter": "a LoRA adapter, which changes a model and is none",
    "imatrix": "an importance matrix, a tool of those who quantise models",
    "mmproj": "the vision part (mmproj) of a model: serve the model itself, and name this file as its mmproj",
    "vocab": "a vocabulary without weights",
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the header says. Bytes are those of the file; sizes are 0 where it says nothing.

    Attributes:
        path: the file (of a split model the first part).
        name: what the model is called by those who made it.
        architecture: llama.cpp's name of it.
        kind: "" for a model that can chat, else what the file is.
        file_bytes: of all parts.
        parts: files that the model is split into.
        trained_context: tokens.
        layers: transformer blocks.
        width: of the embedding.
        feed_forward: width of the widest feed-forward layer.
        heads: of the attention.
        vocabulary: tokens.
        key_values: numbers that the KV cache holds for one token in one layer, for each layer.
        layer_bytes: for each layer.
        output_bytes: of what comes after the layers (the token embedding's where the two are one).
        weight_bytes: all tensors.
        has_template: whether it brings a chat template.
        quantisation: the file type's number; None: not said.
    """

    path: Path
    name: str
    architecture: str
    kind: str
    file_bytes: int
    parts: int
    trained_context: int
    layers: int
    width: int
    feed_forward: int
    heads: int
    vocabulary: int
    key_values: tuple[int, ...]
    layer_bytes: tuple[int, ...]
    output_bytes: int
    weight_bytes: int
    has_template: bool
    quantisation: int | None

    @property
    def is_vision(self) -> bool:
        """Whether it is the part of a model that looks at pictures."""
        return self.kind == _OTHER_KINDS["mmproj"]

    def require_chat(self) -> None:
        """Refuse what cannot hold a conversation.

        Raises:
            BackendFault: says what the file is.
        """
        if self.kind:
            raise BackendFault(
                f"{self.path.name} cannot chat: it is {self.kind}.", detail=str(self.path)
            )


def inspect(path: Path) -> ModelFacts:
    """Look at a GGUF, of a split model at all its parts; at one that has not changed since, only once.

    Raises:
        BackendFault: it is missing, foreign, cut off, damaged, or a part that is none to begin with.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    seen = (path, status.st_mtime_ns, status.st_size)
    if seen not in _seen:
        _check_beginning(path)
        first = read_header(path)
        parts = [first, *(read_header(each) for each in _other_parts(path, first))]
        if len(parts) > 1:
            return _facts(path, parts)
        if len(_seen) >= _REMEMBERED:
            _seen.clear()
        _seen[seen] = _facts(path, parts)
    return _seen[seen]


def _check_beginning(path: Path) -> None:
    try:
        if path.is_dir():
            raise BackendFault(
                f"{path.name} is a folder. Name the GGUF file in it.", detail=str(path)
            )
        if not path.is_file():  # opening a pipe would wait for somebody who writes into it
            raise BackendFault(f"{path.name} is no file.", detail=str(path))
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise unreadable(path, error) from error
    if not start.startswith(MAGIC):
        raise BackendFault(
            f"{path.name} is not a GGUF file: it is {_called(start)}. Get the model as GGUF, or convert it first.",
            detail=str(path),
        )


def _called(start: bytes) -> str:
    """What a file with this beginning is."""
    for beginning, name in _FOREIGN:
        if start.startswith(beginning):
            return name
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, so the download got an answer for people and no file"
    if start[8:9] == b"{" and start[9:].lstrip().startswith(b'"'):
        return "a safetensors file"
    if text.startswith(b"{"):
        return "JSON, perhaps the error message of a download"
    return "of a kind that is not known here" if start else "empty"


def _other_parts(path: Path, first: Header) -> list[Path]:
    """The further files of a split model.

    Raises:
        BackendFault: this is a later part, or parts are missing.
    """
    count = first.number("split.count", 1)
    if count <= 1:
        return []
    named = _SPLIT.fullmatch(path.name)
    if named is None or int(named["count"]) != count or count > _MOST_PARTS:
        raise BackendFault(
            f"{path.name} is one of the {count} parts of a split model and must keep its name "
            f"(…-00001-of-{min(count, 99999):05}.gguf), so that the others are found.",
            detail=str(path),
        )
    names = [f"{named['stem']}-{part:05}-of-{count:05}.gguf" for part in range(1, count + 1)]
    if path.name != names[0]:
        raise BackendFault(
            f"{path.name} is part {int(named['part'])} of {count}: name {names[0]}.",
            detail=str(path),
        )
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise BackendFault(
            f"Of the {count} parts of {path.name} these are missing beside it: {', '.join(missing[:8])}.",
            detail=str(path),
        )
    return [path.with_name(name) for name in names[1:]]


def _facts(path: Path, parts: list[Header]) -> ModelFacts:
    header = parts[0]
    architecture = header.text("general.architecture")
    layers = header.number(f"{architecture}.block_count")
    if layers > _MOST_LAYERS:
        raise BackendFault(
            f"{path.name} is damaged: its header speaks of {layers:,} layers.", detail=str(path)
        )
    sizes = _Sizes(layers)
    for part in parts:
        sizes.add(part)
    vocabulary = header.length("tokenizer.ggml.tokens")
    file_type = header.metadata.get("general.file_type")
    return ModelFacts(
        path=path,
        name=header.text("general.name") or path.stem,
        architecture=architecture,
        kind=_kind(header, architecture, has_weights=any(part.tensors for part in parts)),
        file_bytes=sum(part.file_bytes for part in parts),
        parts=len(parts),
        trained_context=header.number(f"{architecture}.context_length"),
        layers=layers,
        width=header.number(f"{architecture}.embedding_length"),
        feed_forward=header.number(f"{architecture}.feed_forward_length"),
        heads=header.number(f"{architecture}.attention.head_count"),
        vocabulary=vocabulary or header.number(f"{architecture}.vocab_size"),
        key_values=_key_values(header, architecture, layers),
        layer_bytes=tuple(sizes.layers),
        output_bytes=sizes.output + (0 if sizes.has_head else sizes.embedding),
        weight_bytes=sum(sizes.layers) + sizes.output + sizes.embedding,
        has_template=bool(header.text("tokenizer.chat_template")),
        quantisation=file_type if isinstance(file_type, int) else None,
    )


def _kind(header: Header, architecture: str, *, has_weights: bool) -> str:
    if architecture == "clip":
        return _OTHER_KINDS["mmproj"]
    type_ = header.text("general.type")
    if type_ in _OTHER_KINDS:
        return _OTHER_KINDS[type_]
    if not architecture:
        return "no model: its header names no architecture"
    if not has_weights:
        return _OTHER_KINDS["vocab"]
    if architecture in _EMBEDDERS or header.number(f"{architecture}.pooling_type"):
        return "an embedding model"
    return ""


def _key_values(header: Header, architecture: str, layers: int) -> tuple[int, ...]:
    """Numbers of keys and values for one token, by layer; 0 where a layer has no attention."""
    heads = header.number(f"{architecture}.attention.head_count")
    key = f"{architecture}.attention.head_count_kv"
    said = header.metadata.get(key)
    each = [max(0, count) for count in _whole(said)]
    kv_heads = each if len(each) == layers else [header.number(key, heads)] * layers
    head = header.number(f"{architecture}.embedding_length") // max(heads, 1)
    keys = header.number(f"{architecture}.attention.key_length", head)
    values = header.number(f"{architecture}.attention.value_length", head)
    return tuple(count * (keys + values) for count in kv_heads)


def _whole(value: Value | Listed | None) -> list[int]:
    """The numbers of a list of whole numbers; none of anything else."""
    return [item for item in value if isinstance(item, int)] if isinstance(value, tuple) else []


class _Sizes:
    """Adds up tensors by where they belong."""

    def __init__(self, layers: int) -> None:
        self.layers = [0] * layers
        self.output = 0
        self.embedding = 0
        self.has_head = False  # else the token embedding is used at the end, too

    def add(self, header: Header) -> None:
        for tensor in header.tensors:
            first, _, rest = tensor.name.partition(".")
            number, _, _ = rest.partition(".")
            if first == "blk" and number.isdecimal() and int(number) < len(self.layers):
                self.layers[int(number)] += tensor.bytes
            elif first == "token_embd":
                self.embedding += tensor.bytes
            else:
                self.output += tensor.bytes
                self.has_head |= tensor.name == "output.weight"
