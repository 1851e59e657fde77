"""Where our answers differ on purpose from the types of the official SDK, and why: the only list of it.

The hosted service itself differed from its own SDK (the SDK does not check what it gets); "wire" below means recorded
traffic of the hosted service. Strict parsing allows exactly what stands here; an entry that no run needs any more
fails the tests. Standard library only.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["null", "left out", "extra"]


@dataclass(frozen=True)
class Difference:
    """One field.

    Attributes:
        kind: null where the SDK's type has none; left out though the type has it; extra to the type.
        field: `Type.field` of the SDK.
        reason: why it is so.
    """

    kind: Kind
    field: str
    reason: str

    @property
    def key(self) -> str:
        """As results name it."""
        return f"{self.kind}: {self.field}"


_ON_WIRE = "the hosted service sent it, without it being in the SDK's types"
_IN_FILE = "where the passage stands in its file's text, to open it by (file-search.md)"
_IF_SET = "the hosted service gave it only if it was set"

FIELDS = (
    Difference(
        "null", "Run.instructions", "null when neither assistant nor run has any, as on the wire"
    ),
    Difference("null", "VectorStore.name", "null for a store without a name, as on the wire"),
    Difference("left out", "FileSearch.max_num_results", _IF_SET),
    Difference("left out", "ImageURL.detail", _IF_SET),
    Difference("left out", "ImageFile.detail", _IF_SET),
    Difference("left out", "JSONSchema.description", _IF_SET),
    Difference(
        "left out",
        "ToolResources.code_interpreter",
        "tool_resources names only what is there; {} on the wire",
    ),
    Difference(
        "left out",
        "ToolResources.file_search",
        "tool_resources names only what is there; {} on the wire",
    ),
    Difference("left out", "FileSearchResult.content", "given only if include[] asks for it"),
    Difference(
        "left out",
        "Model.shutdown_date",
        "younger than the Assistants API; a local model is not shut down",
    ),
    Difference("extra", "Run.reasoning_effort", _ON_WIRE),
    Difference("extra", "Run.tool_resources", _ON_WIRE),
    Difference("extra", "Assistant.reasoning_effort", _ON_WIRE),
    Difference(
        "extra", "RunStep.expires_at", "the hosted service's name of expired_at; both are sent"
    ),
    Difference("extra", "FileSearchRankingOptions.hybrid_search", _ON_WIRE),
    Difference("extra", "FileSearchResult.attributes", _ON_WIRE),
    Difference("extra", "VectorStore.description", _ON_WIRE),
    Difference("extra", "Usage.prompt_token_details", _ON_WIRE),
    Difference("extra", "Usage.completion_tokens_details", _ON_WIRE),
    Difference("extra", "VectorStoreSearchResponse.start", _IN_FILE),
    Difference("extra", "VectorStoreSearchResponse.end", _IN_FILE),
    Difference("extra", "FileCitation.quote", "read by old programs; always empty"),
)
