"""A model folder of some kilobytes with an ONNX file: every word has a vector, a text's tokens are its words.

The file is written by hand, field by field of ONNX's protobuf, so that no test needs the package onnx.
"""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "north", "east", "query:", "passage:")
WIDTH = 4
_INT64, _FLOAT = 7, 1  # TensorProto.DataType
_WINDOW = 8


def write_onnx_folder(folder: Path, pooling: str = "mean_tokens") -> Path:
    """A folder as sentence-transformers writes them, but for the weights.

    Args:
        folder: made here.
        pooling: what 1_Pooling/config.json says: mean_tokens, cls_token or max_tokens.
    """
    (folder / "onnx").mkdir(parents=True)
    (folder / "1_Pooling").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(_model(vectors()))
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    kinds = ("Transformer", "Pooling")
    modules = [
        {"idx": at, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(zip(("", "1_Pooling"), kinds, strict=True))
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", {f"pooling_mode_{pooling}": True})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": _WINDOW})
    return folder


def vectors() -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """The vector of each word."""
    return np.random.default_rng(3).normal(size=(len(WORDS), WIDTH)).astype(np.float32)


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")


# --- protobuf: (field number, content) ----------------------------------------------------------


def _model(table: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> bytes:
    gather = (
        _field(1, b"table") + _field(1, b"input_ids") + _field(2, b"tokens") + _field(4, b"Gather")
    )
    sizes = b"".join(_number(1, size) for size in table.shape)
    weights = sizes + _number(2, _FLOAT) + _field(8, b"table") + _field(9, table.tobytes())
    inputs = [
        _value(name, _INT64, (b"batch", b"length")) for name in (b"input_ids", b"attention_mask")
    ]
    graph = (
        _field(1, gather)
        + _field(2, b"words")
        + _field(5, weights)
        + b"".join(_field(11, each) for each in inputs)
        + _field(12, _value(b"tokens", _FLOAT, (b"batch", b"length", b"width")))
    )
    return _number(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, 13))


def _value(name: bytes, kind: int, sizes: tuple[bytes, ...]) -> bytes:
    shape = b"".join(_field(1, _field(2, size)) for size in sizes)
    return _field(1, name) + _field(2, _field(1, _number(1, kind) + _field(2, shape)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
