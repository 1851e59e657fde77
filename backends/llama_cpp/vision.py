"""The eyes of a model: a second GGUF (mmproj) that turns pictures into rows of its embedding, through llama.cpp's mtmd.

To the rest of the backend a row of a picture is a token with an id beyond the vocabulary, made from the content of the
picture: the same picture has the same ids, so prefixes with pictures are found, shared and parked like any other.

Only models whose rows take one position each and are read in order are served; those that need positions in two
dimensions (M-RoPE) or attention in both directions are refused when they are loaded.
"""

import ctypes
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from ...engine.chat import ChatMessage, ImagePart
from ...engine.errors import BackendFault, InvalidRequest, MissingDependency
from .loading.identity import model_identity
from .native import NativeModel, last_errors, log_callback
from .own_thread import in_own_thread
from .pictures import check_picture, read_picture

_MOST_KEPT = 256 << 20  # bytes of rows of pictures seen lately
_LAST_ID = (1 << 31) - 1  # ids are kept as signed numbers of 32 bits
_TEXT, _IMAGE = 0, 1  # MTMD_INPUT_CHUNK_TYPE


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as the model reads it.

    Attributes:
        ids: its tokens: those of its rows, with those that the model wants around them.
        rows: id -> row (numpy, float32, the width of the embedding).
    """

    ids: tuple[int, ...]
    rows: Mapping[int, Any]

    @property
    def bytes(self) -> int:
        """Memory that the rows take."""
        return sum(row.nbytes for row in self.rows.values())


class Vision:
    """Looks at pictures for one model, one at a time. Safe to use from several threads.

    Raises:
        MissingDependency: llama-cpp-python was built without mtmd.
        BackendFault: the file cannot be loaded, does not fit the model, or reads pictures in an unsupported way.
    """

    def __init__(self, path: Path, model: NativeModel, threads: int) -> None:
        self._library = _bindings()
        self._model = model
        self._identity = model_identity(path).encode()
        self._lock = Lock()
        self._kept: OrderedDict[bytes, Seen] = OrderedDict()
        params = self._library.mtmd_context_params_default()
        params.use_gpu, params.print_timings, params.warmup = False, False, False
        params.n_threads = threads
        self._handle: Any = self._library.mtmd_init_from_file(
            os.fsencode(path), model.handle, params
        )
        if not self._handle:
            raise BackendFault(
                f"llama.cpp cannot look at pictures with {path.name}; the server's log says why.",
                detail=f"{path}: {last_errors()}",
            )
        self.width = int(model.native.llama_model_n_embd_inp(model.handle))
        try:
            self._require_plain(path)
        except BackendFault:
            self.free()
            raise

    def _require_plain(self, path: Path) -> None:
        if not self._library.mtmd_support_vision(self._handle):
            raise BackendFault(f"{path.name} is no vision part of a model.", detail=str(path))
        crossed = self._library.mtmd_decode_use_mrope(self._handle)
        if crossed or self._library.mtmd_decode_use_non_causal(self._handle, None):
            raise BackendFault(
                f"{path.name} is of a kind of vision that is not supported here: its pictures need positions in two "
                "dimensions, or attention in both directions. Serve the model without mmproj, or with llama.cpp's own "
                "server (docs/openai-compatible.md).",
                detail=str(path),
            )

    def look(self, messages: Iterable[ChatMessage]) -> "dict[str, Seen | str]":
        """The pictures in some messages by their URL. Takes a second or more for each that was not seen lately.

        In place of one that cannot be read there are words for the model: it stays in the thread, and a refusal would
        end every later turn too.

        Raises:
            BackendFault: the library failed.
        """
        parts = (part for each in messages for part in each.content if not isinstance(part, str))
        urls = dict.fromkeys(part.url for part in parts if isinstance(part, ImagePart))
        return {url: self._look(url) for url in urls}

    def _look(self, url: str) -> "Seen | str":
        try:
            return self._seen(read_picture(url))
        except InvalidRequest as error:
            return f"[a picture that cannot be looked at: {error.message}]"

    def _seen(self, data: bytes) -> Seen:
        key = hashlib.sha256(self._identity + data).digest()
        with self._lock:
            if not self._handle:
                raise BackendFault("The model has been unloaded.")
            seen = self._kept.pop(key, None)
            if seen is None:
                check_picture(data)
                seen = in_own_thread(lambda: self._encoded(data, key))
            self._kept[key] = seen
            while (
                len(self._kept) > 1 and sum(each.bytes for each in self._kept.values()) > _MOST_KEPT
            ):
                self._kept.popitem(last=False)
        return seen

    # --- holding the lock ------------------------------------------------------------------------

    def _encoded(self, data: bytes, key: bytes) -> Seen:
        library = self._library
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        made = library.mtmd_helper_bitmap_init_from_buf_wrapper(
            self._handle, buffer, len(data), False, library.mtmd_helper_init_opt_default()
        )
        if not made.bitmap:
            raise InvalidRequest("A picture is damaged.")
        chunks = library.mtmd_input_chunks_init()
        try:
            self._cut(chunks, made.bitmap)
            return self._read(chunks, key)
        finally:
            library.mtmd_input_chunks_free(chunks)
            library.mtmd_bitmap_free(made.bitmap)

    def _cut(self, chunks: Any, bitmap: Any) -> None:
        """Have a picture cut into the pieces that the model reads, with its text between them."""
        library = self._library
        marker = library.mtmd_get_marker(self._handle)
        text = library.mtmd_input_text(marker, len(marker), False, True)
        bitmaps = (library.mtmd_bitmap_p_ctypes * 1)(bitmap)
        if library.mtmd_tokenize(self._handle, chunks, ctypes.byref(text), bitmaps, 1) != 0:
            raise BackendFault(f"llama.cpp cannot cut up a picture: {last_errors()}.")

    def _read(self, chunks: Any, key: bytes) -> Seen:
        ids: list[int] = []
        rows: dict[int, Any] = {}
        numbers = count()
        for index in range(self._library.mtmd_input_chunks_size(chunks)):
            chunk = self._library.mtmd_input_chunks_get(chunks, index)
            kind = self._library.mtmd_input_chunk_get_type(chunk)
            if kind == _TEXT:
                ids += self._text(chunk)
                continue
            if kind != _IMAGE:
                raise BackendFault("llama.cpp made something else than a picture of a picture.")
            for row in self._rows(chunk):
                ids.append(self._id(key, next(numbers)))
                rows[ids[-1]] = row
        return Seen(tuple(ids), rows)

    def _text(self, chunk: Any) -> Sequence[int]:
        size = ctypes.c_size_t()
        tokens = self._library.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
        return tokens[: size.value] if size.value else ()

    def _rows(self, chunk: Any) -> Any:
        import numpy as np

        if self._library.mtmd_encode_chunk(self._handle, chunk) != 0:
            raise BackendFault(f"llama.cpp cannot read a picture: {last_errors()}.")
        rows = int(self._library.mtmd_input_chunk_get_n_tokens(chunk))
        if rows != int(self._library.mtmd_input_chunk_get_n_pos(chunk)):
            raise BackendFault(
                "This model's pictures take other positions than rows; that is not supported here."
            )
        output = self._library.mtmd_get_output_embd(self._handle)
        return np.ctypeslib.as_array(output, (rows, self.width)).copy()

    def _id(self, key: bytes, number: int) -> int:
        """An id beyond the vocabulary. Two pictures may share one; that all of theirs are the same, nobody will see."""
        first = self._model.vocabulary.size
        digest = hashlib.blake2b(key + number.to_bytes(4, "little"), digest_size=8).digest()
        return first + int.from_bytes(digest, "little") % (_LAST_ID - first)

    def free(self) -> None:
        """Let go of the memory; waits for a picture that is being looked at."""
        with self._lock:
            if self._handle:
                self._library.mtmd_free(self._handle)
                self._handle = None


def _bindings() -> Any:
    """The ctypes layer of mtmd, its logging kept off the terminal."""
    try:
        from llama_cpp import mtmd_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingDependency(
            "Looking at pictures (mmproj) needs a llama-cpp-python that was built with mtmd (-DLLAVA_BUILD=ON): "
            "run ./scripts/setup, or install it anew with that flag."
        ) from error
    library: Any = mtmd_cpp
    for log in (library.mtmd_log_set, library.mtmd_helper_log_set):
        log(log_callback(), ctypes.c_void_p(0))
    return library
