"""llama.cpp with as little around it as can be: batches, `llama_decode` and greedy sampling over the ctypes layer.

None of our code but the import of the bindings, which sets how threads wait, for both sides. It serves as what nothing
can be faster than, so it does no more than it must: no text, no stop checks, no limits.
"""

import ctypes
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from local_assistants.backends.llama_cpp.native import bindings

BATCH = 512  # prompt tokens evaluated at once


class Bare:
    """A model and a context of `sequences` sequences that share a pool of `context` tokens."""

    def __init__(self, path: Path, threads: int, context: int, sequences: int = 1) -> None:
        native = self._native = bindings()
        self._model: Any = native.llama_model_load_from_file(
            os.fsencode(path), native.llama_model_default_params()
        )
        if not self._model:
            raise RuntimeError(f"{path} does not load")
        params = native.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.kv_unified = context, sequences, True
        params.n_batch = params.n_ubatch = max(BATCH, sequences)
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self._context: Any = native.llama_init_from_model(self._model, params)
        if not self._context:
            raise RuntimeError(f"no memory for a context of {context} tokens")
        self._vocabulary = native.llama_model_get_vocab(self._model)
        self._memory = native.llama_get_memory(self._context)
        self._batch = native.llama_batch_init(params.n_batch, 0, 1)
        self._greedy = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        native.llama_sampler_chain_add(self._greedy, native.llama_sampler_init_greedy())
        self._format = _formatter(native, self._model, self._vocabulary)
        self._filled = 0  # tokens that `seconds` has put into sequence 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._native.llama_sampler_free(self._greedy)
        self._native.llama_batch_free(self._batch)
        self._native.llama_free(self._context)
        self._native.llama_model_free(self._model)

    # --- text ----------------------------------------------------------------------------------

    def prompt(self, messages: Sequence[dict[str, Any]], tools: Any = None) -> list[int]:
        """The tokens of a conversation, by the template of the GGUF."""
        return self.tokens(self._format(messages=messages, tools=tools).prompt)

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, control tokens recognised."""
        data = text.encode()
        found = (ctypes.c_int32 * (len(data) + 8))()
        count = self._native.llama_tokenize(
            self._vocabulary, data, len(data), found, len(found), False, True
        )
        return list(found[:count])

    def text(self, tokens: Sequence[int]) -> str:
        """What tokens say, control tokens written out."""
        buffer = ctypes.create_string_buffer(256)
        said = b""
        for token in tokens:
            size = self._native.llama_token_to_piece(
                self._vocabulary, token, buffer, len(buffer), 0, True
            )
            said += buffer.raw[: max(0, size)]
        return said.decode("utf-8", "replace")

    def ends(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return bool(self._native.llama_vocab_is_eog(self._vocabulary, token))

    # --- work ----------------------------------------------------------------------------------

    def clear(self) -> None:
        """Empty the pool."""
        self._filled = 0
        self._native.llama_memory_clear(self._memory, False)

    def rewind(self, sequence: int, length: int) -> None:
        """Keep the first tokens of a sequence."""
        self._native.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def share(self, source: int, target: int, length: int) -> None:
        """Give `target` the first tokens of `source`."""
        self._native.llama_memory_seq_rm(self._memory, target, -1, -1)
        self._native.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def evaluate(self, tokens: Sequence[int], sequence: int = 0, start: int = 0) -> int:
        """Evaluate a prompt, or the rest of one, and choose what follows."""
        for at in range(0, len(tokens), BATCH):
            part = tokens[at : at + BATCH]
            last = at + len(part) == len(tokens)
            for index, token in enumerate(part):
                wanted = last and index == len(part) - 1
                self._row(index, token, start + at + index, sequence, wanted=wanted)
            self._decode(len(part))
        return self._choose(-1)

    def seconds(self, count: int, after: int) -> float:
        """How long `count` tokens take at the end of a sequence of `after` tokens, which is made to be one."""
        filler = (count + after) * self.tokens("barley and copper, ")
        if self._filled < after:
            self.evaluate(filler[self._filled : after], start=self._filled)
        self.rewind(0, after)
        began = time.perf_counter()
        self.evaluate(filler[after : after + count], start=after)
        self._filled = after + count
        return time.perf_counter() - began

    def step(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int]
    ) -> list[int]:
        """One token for each sequence; what follows each."""
        rows = zip(tokens, positions, sequences, strict=True)
        for index, (token, position, sequence) in enumerate(rows):
            self._row(index, token, position, sequence)
        self._decode(len(tokens))
        return [self._choose(index) for index in range(len(tokens))]

    def decode_rate(self, prompts: Sequence[Sequence[int]], steps: int) -> float:
        """Tokens a second of all prompts together, once these are evaluated; nobody ends early."""
        self.clear()
        tokens = [self.evaluate(prompt, index) for index, prompt in enumerate(prompts)]
        positions = [len(prompt) for prompt in prompts]
        sequences = range(len(prompts))
        began = time.perf_counter()
        for _ in range(steps):
            tokens = self.step(tokens, positions, sequences)
            positions = [position + 1 for position in positions]
        return steps * len(prompts) / (time.perf_counter() - began)

    def answers(self, prompts: Sequence[Sequence[int]], most: int) -> list[str]:
        """What the model says to each prompt, all together; the longest common beginning is evaluated once."""
        self.clear()
        common = min(map(len, prompts)) - 1
        while any(prompt[:common] != prompts[0][:common] for prompt in prompts):
            common -= 1
        said: dict[int, list[int]] = {}
        for index, prompt in enumerate(prompts):
            if index:
                self.share(0, index, common)
            start = common if index else 0
            said[index] = [self.evaluate(prompt[start:], index, start)]
        while open_ := [n for n in said if len(said[n]) < most and not self.ends(said[n][-1])]:
            positions = [len(prompts[n]) + len(said[n]) - 1 for n in open_]
            following = self.step([said[n][-1] for n in open_], positions, open_)
            for n, token in zip(open_, following, strict=True):
                said[n].append(token)
        return [self.text([t for t in said[n] if not self.ends(t)]) for n in said]

    def _row(
        self, index: int, token: int, position: int, sequence: int, *, wanted: bool = True
    ) -> None:
        batch = self._batch
        batch.token[index] = token
        batch.pos[index] = position
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = sequence
        batch.logits[index] = wanted

    def _decode(self, count: int) -> None:
        self._batch.n_tokens = count
        if status := self._native.llama_decode(self._context, self._batch):
            raise RuntimeError(f"llama_decode says {status}")

    def _choose(self, index: int) -> int:
        return int(self._native.llama_sampler_sample(self._greedy, self._context, index))


def _formatter(native: Any, model: Any, vocabulary: Any) -> Any:
    """llama-cpp-python's own way from messages to text."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    def written(token: int) -> str:
        text = native.llama_vocab_get_text(vocabulary, token) if token >= 0 else None
        return text.decode() if text else ""

    template = native.llama_model_chat_template(model, None)
    return Jinja2ChatFormatter(
        template=template.decode(),
        eos_token=written(native.llama_vocab_eos(vocabulary)),
        bos_token=written(native.llama_vocab_bos(vocabulary)),
    )
