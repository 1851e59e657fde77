"""The process of a cross-encoder: a query and texts in, as a line of JSON; their scores or what went wrong out.

Started as `python -m ...cross_encoder_child FOLDER THREADS PARENT`. It keeps nothing, and ends with its input.
"""

import json
import math
import os
import sys
from typing import Any

from ..ingestion.serve import settle

_LONGEST = 512  # tokens of query and text together


def main() -> None:
    """Answer until the input ends."""
    folder, threads, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settle(parent)
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # libraries that print must not speak in our name
    model: Any = None
    for line in sys.stdin:
        try:
            model = model or _loaded(folder, threads)
            reply: dict[str, Any] = {"scores": _scores(model, *json.loads(line))}
        except (ImportError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _loaded(folder: str, threads: int) -> Any:
    # The library is given a path and needs no network; these keep it from trying all the same.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "1")
    import torch
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(threads)
    return CrossEncoder(folder, device="cpu", local_files_only=True, max_length=_LONGEST)


def _scores(model: Any, query: str, *texts: str) -> list[float]:
    """One score of 0..1 for each text.

    Raises:
        ValueError: the model gives no single score, or one that is no number.
    """
    if not texts:
        return []
    from torch.nn import Sigmoid

    pairs = [(query, text) for text in texts]
    found = model.predict(pairs, activation_fn=Sigmoid(), show_progress_bar=False)
    scores = [float(score) for score in found]
    if not all(math.isfinite(score) for score in scores):
        raise ValueError("it gives scores that are no numbers")
    return scores


if __name__ == "__main__":
    main()
