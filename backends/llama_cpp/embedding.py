"""Texts to vectors with an embedding model in a GGUF (BERT-like, or a decoder that pools the last token or the mean).

It offers what file search asks of an embedder, by shape only: a tokenizer with offsets, a window, vectors of length
one. Model and context live on one thread; loading happens there at first use. Several texts share a step, each in a
sequence of its own; a text longer than the window is cut off, so callers cut long ones into windows themselves.

It knows nothing of files and searches, and does not judge whether a model's vectors are any good.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from ...engine.errors import BackendFault
from .native import NativeModel, Vocabulary, last_errors
from .settings import LlamaSettings

BATCH = 16  # texts embedded between two looks at the queue: a query waits for one batch at most
_MOST_WINDOW = 512  # tokens; most models are trained for no more, and the memory of a step grows with its square
_SEQUENCES = 16  # texts in one step
_POOLED = (1, 2, 3)  # mean, first, last: llama_pooling_type
_RANKING = 4
_WORDS = re.compile(r"\s*(?:\w+|[^\w\s])")
_REMEMBERED = 50_000  # words whose token count is kept


class GgufTokenizer:
    """Counts and spans in a GGUF's own tokens; safe to use from several threads.

    Vocabularies that normalise text give no offsets, so a word's tokens share it evenly: right to the word, and to the
    token where a word is one.
    """

    def __init__(self, vocabulary: Callable[[], Vocabulary]) -> None:
        self._vocabulary = vocabulary  # asked for at first use: it takes loading the model
        self._tokens_of = lru_cache(_REMEMBERED)(self.count)

    def count(self, text: str) -> int:
        """Number of tokens, special ones not counted."""
        return len(self._vocabulary().tokenize(text, special=False))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of each token in code points of `text`, in order; blanks lie between spans."""
        words = _WORDS.finditer(text)
        return list(chain.from_iterable(self._shares(match) for match in words))

    def _shares(self, match: re.Match[str]) -> list[tuple[int, int]]:
        word = match.group()
        start, end = match.end() - len(word.lstrip()), match.end()
        count = self._tokens_of(word)
        edges = (
            [start + (end - start) * part // count for part in range(count + 1)] if count else []
        )
        return list(pairwise(edges))


class GgufEmbedder:
    """An embedding model in a GGUF.

    Args:
        path: the file.
        threads: compute threads; few, for a language model works beside it.
        window: tokens of a text that count, special ones included. Default: what the model was trained for, at most
            512.
    """

    def __init__(self, path: Path, *, threads: int = 1, window: int | None = None) -> None:
        self._path = path
        self._threads = threads
        self._wanted_window = window
        self._native: _Native | None = None
        self._closed = False
        self._tokenizer = GgufTokenizer(lambda: self._loaded().vocabulary)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")

    @property
    def tokenizer(self) -> GgufTokenizer:
        """The model's tokenizer; using it loads the model if need be, and raises what `encode` does."""
        return self._tokenizer

    @property
    def window(self) -> int:
        """Tokens of a text that count, special ones not included; the rest is cut off. Loads the model if need be."""
        native = self._loaded()
        return native.window - native.specials

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        """One vector a text, float32, little endian, of length one; in batches between which others get their turn.

        Raises:
            BackendFault: the file is missing, broken or no embedding model, or the library failed.
            MissingDependency: llama-cpp-python is not installed.
        """
        loop = asyncio.get_running_loop()
        vectors: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            self._check_open()
            batch = list(texts[start : start + BATCH])
            vectors += await loop.run_in_executor(self._thread, self._encode, batch)
        return vectors

    async def close(self) -> None:
        """End the thread and free the model. May be called twice; nothing can be embedded after."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        if self._native is not None:
            self._native.free()

    def _loaded(self) -> "_Native":
        self._check_open()
        if self._native is None:
            self._thread.submit(self._load).result()
        assert self._native is not None
        return self._native

    def _load(self) -> None:
        if self._native is None:
            self._native = _Native(self._path, self._threads, self._wanted_window)

    def _encode(self, texts: list[str]) -> list[bytes]:
        self._load()
        assert self._native is not None
        return self._native.encode(texts)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendFault("The embedding model is closed; make a new one to use it.")


class _Native:
    """Model and context. `encode` belongs to one thread; the vocabulary does not."""

    def __init__(self, path: Path, threads: int, window: int | None) -> None:
        self._path = path
        self._model = NativeModel(path, LlamaSettings(repack=False))
        self._library = self._model.native
        self.vocabulary = self._model.vocabulary
        self._context: Any = None
        self._batch: Any = None
        try:
            trained = self._model.trained_context or _MOST_WINDOW
            self.window = min(window or _MOST_WINDOW, trained)
            self.specials = len(self._with_specials(""))
            if self.window <= self.specials:
                raise BackendFault(
                    f"{path.name} cannot be used as the embedding model: it reads {self.window} tokens of a text. "
                    "Choose another one.",
                    detail=str(path),
                )
            self._ends = self._count_ends()
            self._open(threads)
        except BaseException:
            self.free()
            raise
        self._size = int(self._library.llama_model_n_embd_out(self._model.handle))
        self._batch = self._library.llama_batch_init(self._room, 0, 1)

    def _open(self, threads: int) -> None:
        params = self._library.llama_context_default_params()
        # A text's tokens attend to one another in both directions, so a step cannot be cut in two.
        params.n_ctx = params.n_batch = params.n_ubatch = self.window
        # More sequences than tokens of a step would end the process.
        params.n_seq_max = self._sequences = min(_SEQUENCES, self.window)
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        params.no_perf = True
        self._context = self._library.llama_init_from_model(self._model.handle, params)
        if not self._context:
            raise BackendFault(
                f"No memory to embed with {self._path.name}.",
                detail=f"{self._path}: {last_errors()}",
            )
        self._room = min(
            self._library.llama_n_batch(self._context), self._library.llama_n_ubatch(self._context)
        )
        self.window = min(self.window, self._room)
        self._require_pooling(int(self._library.llama_pooling_type(self._context)))

    def _require_pooling(self, pooling: int) -> None:
        if pooling in _POOLED and self._single_pass():
            return
        what = "is a reranker" if pooling == _RANKING else "makes no vectors of whole texts"
        raise BackendFault(
            f"{self._path.name} cannot be used as the embedding model: it {what}. Choose a GGUF of an embedding model.",
            detail=str(self._path),
        )

    def _single_pass(self) -> bool:
        handle = self._model.handle
        encodes = self._library.llama_model_has_encoder(handle)
        return not (encodes and self._library.llama_model_has_decoder(handle))

    def encode(self, texts: list[str]) -> list[bytes]:
        """A vector for each text."""
        vectors: list[bytes] = []
        group: list[list[int]] = []
        for tokens in map(self._cut, texts):
            if group and (
                len(group) == self._sequences or sum(map(len, group)) + len(tokens) > self._room
            ):
                vectors += self._step(group)
                group = []
            group.append(tokens)
        return vectors + (self._step(group) if group else [])

    def _step(self, group: list[list[int]]) -> list[bytes]:
        batch, index = self._batch, 0
        for sequence, tokens in enumerate(group):
            for position, token in enumerate(tokens):
                batch.token[index] = token
                batch.pos[index] = position
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = sequence
                batch.logits[index] = True
                index += 1
        batch.n_tokens = index
        memory = self._library.llama_get_memory(self._context)
        if memory:  # decoders keep what they have read
            self._library.llama_memory_clear(memory, True)
        status = self._library.llama_decode(self._context, batch)
        if status != 0:
            raise BackendFault(f"Embedding failed (status {status}): {last_errors()}.")
        return [self._vector(sequence) for sequence in range(len(group))]

    def _vector(self, sequence: int) -> bytes:
        import numpy as np

        pointer = self._library.llama_get_embeddings_seq(self._context, sequence)
        if not pointer:
            raise BackendFault(f"{self._path.name} gave no vector.", detail=str(self._path))
        vector = np.ctypeslib.as_array(pointer, (self._size,)).astype(np.float32)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0.0:
            raise BackendFault(
                f"{self._path.name} gave a vector without direction; the file may be damaged.",
                detail=str(self._path),
            )
        return (vector / length).astype("<f4").tobytes()

    def _cut(self, text: str) -> list[int]:
        """The tokens of a text with those that its model begins and ends with; never none, never too many."""
        tokens = self._with_specials(text)
        if len(tokens) > self.window:
            tokens = tokens[: self.window - self._ends] + tokens[len(tokens) - self._ends :]
        return tokens or [max(self.vocabulary.bos, 0)]

    def _with_specials(self, text: str) -> list[int]:
        return self.vocabulary.tokenize(text, special=False, ends=True)

    def _count_ends(self) -> int:
        """Special tokens behind the text."""
        vocabulary = self.vocabulary.handle
        ends = self._library.llama_vocab_get_add_eos(vocabulary)
        return int(bool(ends or self._library.llama_vocab_get_add_sep(vocabulary)))

    def free(self) -> None:
        """Let go of the memory. Nothing may be running."""
        if self._batch is not None:
            self._library.llama_batch_free(self._batch)
            self._batch = None
        if self._context:
            self._library.llama_free(self._context)
            self._context = None
        self._model.free()
