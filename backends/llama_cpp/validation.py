"""Whether a request can be honoured, found out where no model is loaded. Pure Python, no native library."""

from ...engine.chat import ChatRequest
from ...engine.errors import InvalidRequest
from .grammars.calls import CallGrammar, response_grammar


def validate(request: ChatRequest) -> None:
    """Check the forced tool and every schema of a request. Takes milliseconds, more for very large schemas.

    Raises:
        InvalidRequest: the forced tool is not among the tools, or a grammar cannot hold the schema of a strict
            function or of response_format.
    """
    names = [tool.name for tool in request.tools]
    if request.forced_tool and request.forced_tool not in names:
        raise InvalidRequest(
            f"tool_choice names '{request.forced_tool}', which is not among the tools.",
            param="tool_choice",
        )
    CallGrammar(request.tools)
    response_grammar(request.response_format or {})
