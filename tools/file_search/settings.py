"""How a library works: limits, parallel work, the weights of its two ways of searching."""

from dataclasses import dataclass, field

from .parsing.reading import ParseLimits


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """How a library works.

    Attributes:
        limits: what parsing a file may take.
        adds: files parsed and embedded at the same time.
        candidates: how many hits of each way of searching are fused.
        dense_weight: share of the vectors' say in the fusion, 0..1; the keywords have the rest.
    """

    limits: ParseLimits = field(default_factory=ParseLimits)
    adds: int = 2
    candidates: int = 100
    dense_weight: float = 0.5
