"""Embedding models of some kilobytes, written by the tests: a BERT that pools the mean, a decoder that pools the last.

Their weights are random, so their vectors mean nothing; but the library computes them as it does those of real models.
"""

from pathlib import Path

import gguf
import numpy as np

from tests.support.toy_gguf import write_random_model

WORDS = ("the", "sales", "of", "last", "year", "were", "higher", "than", "before", ".", ",", "!")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WIDTH, _FEED_FORWARD, _LAYERS, _HEADS = 32, 64, 2, 4


def write_bert(path: Path, *, context: int = 64, seed: int = 5) -> Path:
    """A BERT with a vocabulary of a few words and all letters, which pools the mean of a text's tokens."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(context)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(1e-6)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    tokens = _write_words(writer)
    for name, shape in _bert_tensors(tokens, context):
        if name.endswith("norm.weight"):
            values = np.ones(shape)
        elif name.endswith("bias"):
            values = np.zeros(shape)
        else:
            values = random.normal(0.0, 0.4, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_pooling_decoder(
    path: Path, pooling: gguf.PoolingType = gguf.PoolingType.LAST, *, context: int = 256
) -> Path:
    """The toy chat model with a pooling, as the newer embedding models are made."""
    return write_random_model(path, context=context, template=None, pooling=pooling)


def _write_words(writer: gguf.GGUFWriter) -> int:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    # A word's beginning is marked, its further pieces are not.
    tokens = [
        *_SPECIAL,
        *(f"▁{word}" for word in WORDS),
        *(f"▁{each}" for each in letters),
        *letters,
    ]
    kinds = [gguf.TokenType.CONTROL] * len(_SPECIAL)
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(_SPECIAL))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    writer.add_mask_token_id(4)
    return len(tokens)


def _bert_tensors(tokens: int, context: int) -> list[tuple[str, tuple[int, ...]]]:
    square, line = (_WIDTH, _WIDTH), (_WIDTH,)
    named: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (tokens, _WIDTH)),
        ("token_types.weight", (2, _WIDTH)),
        ("position_embd.weight", (context, _WIDTH)),
        ("token_embd_norm.weight", line),
        ("token_embd_norm.bias", line),
    ]
    for layer in range(_LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            named += [(f"blk.{layer}.{part}.weight", square), (f"blk.{layer}.{part}.bias", line)]
        for part in ("attn_output_norm", "layer_output_norm"):
            named += [(f"blk.{layer}.{part}.weight", line), (f"blk.{layer}.{part}.bias", line)]
        named += [
            (f"blk.{layer}.ffn_up.weight", (_FEED_FORWARD, _WIDTH)),
            (f"blk.{layer}.ffn_up.bias", (_FEED_FORWARD,)),
            (f"blk.{layer}.ffn_down.weight", (_WIDTH, _FEED_FORWARD)),
            (f"blk.{layer}.ffn_down.bias", line),
        ]
    return named
