"""The real clock and the real ids; tests and replays bring their own."""

import asyncio
import secrets
import string
import time

_BASE62 = string.ascii_letters + string.digits
_FORMS: dict[str, tuple[str, int, str]] = {  # kind -> prefix, length, alphabet (contract, 1.4)
    "assistant": ("asst_", 24, _BASE62),
    "thread": ("thread_", 24, _BASE62),
    "message": ("msg_", 24, _BASE62),
    "run": ("run_", 24, _BASE62),
    "step": ("step_", 24, _BASE62),
    "call": ("call_", 24, _BASE62),
    "file": ("file-", 22, _BASE62),
    "vector_store": ("vs_", 32, string.hexdigits[:16]),
    "file_batch": ("vsfb_", 32, string.hexdigits[:16]),
    "upload": ("upload_", 32, string.hexdigits[:16]),
    "part": ("part_", 32, string.hexdigits[:16]),
    "key": ("key_", 24, _BASE62),
    "request": ("req_", 32, string.hexdigits[:16]),
}


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await asyncio.sleep(seconds)


class RandomIds:
    """Unguessable ids in the API's forms."""

    def new(self, kind: str) -> str:
        """A new id of this kind."""
        prefix, length, alphabet = _FORMS[kind]
        return prefix + "".join(secrets.choice(alphabet) for _ in range(length))
