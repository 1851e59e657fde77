"""The dense index over Chroma: in a folder of this process's own, or on a `chroma run` elsewhere."""
