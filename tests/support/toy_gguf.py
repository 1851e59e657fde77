"""A GGUF of about a megabyte that llama.cpp really loads, written by the tests themselves.

Two kinds. `write_random_model` has seeded random weights: it babbles, but streams, samples, obeys grammars and fills a
context like any model. `write_saying_model` says a given list of pieces, each one token of its vocabulary, whatever
it is asked: its attention adds nothing, so the next token depends on the last one only.

Neither understands anything. Bytes 0 to 255 are tokens, so every text can be written.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np

SPECIAL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
END = SPECIAL.index("<|im_end|>")
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_ASCII = tuple(chr(code).replace(" ", "▁") for code in range(0x20, 0x7F))
NEWLINE = len(SPECIAL) + 0x0A
FIRST_EXTRA = len(SPECIAL) + len(_BYTES) + len(_ASCII)

TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}
{% endif %}Tools:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role != 'system' %}<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def write_random_model(
    path: Path,
    *,
    seed: int = 7,
    context: int = 2048,
    template: str | None = TEMPLATE,
    pooling: gguf.PoolingType | None = None,
) -> Path:
    """A model with random weights; the same seed gives the same model. With `pooling` it is one that embeds."""
    extra = ('{"', '":', '"}', "{\n", "é", "the▁")
    shape = _Shape(layers=2, width=64, feed_forward=128, vocabulary=FIRST_EXTRA + len(extra))
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(0.0, 0.6, size).astype(np.float32) for name, size in shape.tensors()
    }
    _write(path, shape, tensors, extra=extra, context=context, template=template, pooling=pooling)
    return path


def write_saying_model(
    path: Path,
    says: Sequence[str],
    *,
    context: int = 2048,
    template: str | None = TEMPLATE,
    controls: Sequence[str] = (),
) -> Path:
    """A model that answers every prompt that ends in a newline with the pieces of `says`, then ends its turn.

    Each piece is one token, so the pieces must differ from one another. Those in `controls` are control tokens.
    """
    count = FIRST_EXTRA + len(says)
    shape = _Shape(layers=1, width=-(-count // 32) * 32, feed_forward=32, vocabulary=count)
    tensors = {name: np.zeros(size, dtype=np.float32) for name, size in shape.tensors()}
    identity = np.eye(count, shape.width, dtype=np.float32)
    path_of_tokens = [NEWLINE, *range(FIRST_EXTRA, count), END]
    for before, after in pairwise(path_of_tokens):
        tensors["output.weight"][after, before] = 4.0
    tensors["token_embd.weight"][:] = identity
    extra = tuple(piece.replace(" ", "▁") for piece in says)
    _write(path, shape, tensors, extra=extra, context=context, template=template, controls=controls)
    return path


class _Shape:
    """Sizes of a llama-architecture model and of its tensors."""

    heads = 4

    def __init__(self, *, layers: int, width: int, feed_forward: int, vocabulary: int) -> None:
        self.layers = layers
        self.width = width
        self.feed_forward = feed_forward
        self.vocabulary = vocabulary

    def tensors(self) -> list[tuple[str, tuple[int, int]]]:
        """Name and shape of every matrix."""
        square = (self.width, self.width)
        named = [
            ("token_embd.weight", (self.vocabulary, self.width)),
            ("output.weight", (self.vocabulary, self.width)),
        ]
        for layer in range(self.layers):
            named += [
                (f"blk.{layer}.attn_{part}.weight", square) for part in ("q", "k", "v", "output")
            ]
            named += [
                (f"blk.{layer}.ffn_gate.weight", (self.feed_forward, self.width)),
                (f"blk.{layer}.ffn_up.weight", (self.feed_forward, self.width)),
                (f"blk.{layer}.ffn_down.weight", (self.width, self.feed_forward)),
            ]
        return named

    def norms(self) -> list[str]:
        """Names of the normalisation vectors."""
        names = ["output_norm.weight"]
        for layer in range(self.layers):
            names += [f"blk.{layer}.attn_norm.weight", f"blk.{layer}.ffn_norm.weight"]
        return names


def _write(
    path: Path,
    shape: _Shape,
    tensors: dict[str, Any],
    *,
    extra: tuple[str, ...],
    context: int,
    template: str | None,
    pooling: gguf.PoolingType | None = None,
    controls: Sequence[str] = (),
) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    _write_vocabulary(writer, extra, controls)
    if template is not None:
        writer.add_chat_template(template)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    for name in shape.norms():
        writer.add_tensor(name, np.ones(shape.width, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_vocabulary(
    writer: gguf.GGUFWriter, extra: tuple[str, ...], controls: Sequence[str]
) -> None:
    tokens = [*SPECIAL, *_BYTES, *_ASCII, *extra]
    if len(set(tokens)) < len(tokens):
        raise ValueError("two tokens are the same; llama.cpp ends the process over that")
    kinds = (
        [gguf.TokenType.UNKNOWN]
        + [gguf.TokenType.CONTROL] * (len(SPECIAL) - 1)
        + [gguf.TokenType.BYTE] * len(_BYTES)
        + [gguf.TokenType.NORMAL] * len(_ASCII)
        + [
            gguf.TokenType.CONTROL if piece in controls else gguf.TokenType.NORMAL
            for piece in extra
        ]
    )
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(rank) for rank in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(SPECIAL.index("<s>"))
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
