"""llama.cpp's own HTTP server from the prebuilt wheel, in a process of its own on a free port of this machine.

Run as a program it serves until its standard input ends, so that it does not outlive the tests.
"""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any


class LlamaServer:
    """A running server.

    Args:
        model: a GGUF.
        context: tokens that all slots share.
        slots: answers that may be written at the same time.
    """

    def __init__(self, model: Path, *, context: int, slots: int = 4) -> None:
        command = [sys.executable, __file__, str(model), str(context), str(slots)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url.startswith("http://127.0.0.1:"):
            self.stop()
            raise RuntimeError(f"llama.cpp's server did not start; it said {self.url!r}")

    def stop(self) -> None:
        """End the process, at once if it does not go by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _serve(model: str, context: str, slots: str) -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel = int(context), int(slots)
    params.kv_unified = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.use_jinja, params.warmup, params.verbosity = True, False, -1
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
