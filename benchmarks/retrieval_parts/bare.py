"""Run with `-m`, FOLDER and THREADS: embeds what it is told to by sentence-transformers alone, and says how long.

Each line of standard input names a JSON file with texts; each line of output is the seconds of one `model.encode`, the
loading and a first, short call not counted.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(folder: Path, threads: int) -> None:
    """Load, then answer line by line."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model.encode(["A first sentence."], show_progress_bar=False)
    print("ready", flush=True)
    for line in sys.stdin:
        texts = json.loads(Path(line.strip()).read_text(encoding="utf-8"))
        began = time.perf_counter()
        model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
