"""Every error this product raises on purpose, in one tree.

    AssistantsError
    ├── InvalidRequest           400  the caller's mistake; says which parameter and how to mend it
    │   ├── ThreadBusy           400  a run that is not over holds the thread
    │   ├── IllegalTransition    400  the object's status does not take this event
    │   ├── UnsupportedFile      400  a file no tool can read
    │   └── UnsuitedModel        400  a model that cannot hold a conversation
    ├── AuthenticationFailed     401
    ├── PermissionDenied         403  known who asks, and not theirs to do
    ├── NotFound                 404  no object with this id
    │   └── ModelNotFound        404
    ├── TooLarge                 413  more bytes than a limit allows
    ├── RateLimited              429  a local limit (queue, memory) is reached
    └── ServerFault              500  ours: a broken part, a missing piece, a bug
        ├── BackendFault         500  the model runtime failed or refused
        │   └── ContextOverflow  500  the prompt does not fit the model's context window
        ├── ToolFault            500  a tool cannot work at all (a failed call is no fault, it is output)
        │   └── SandboxUnavailable   503  this host cannot isolate code; /readyz says so too
        ├── StorageFault         500  the disk or the database refused
        │   └── InsufficientStorage  507  the disk is full, or nearly
        └── MissingDependency    503  a package or a model is not here; names the command

Each class carries the API's HTTP status, type and code (contract, section 5). Foreign exceptions are mapped to
these once, at the edge of the adapter that met them. This module knows no HTTP library and formats no response.
"""

from typing import ClassVar


class AssistantsError(Exception):
    """Base of the tree. `message` is for people and safe to show to a client.

    Attributes:
        status: HTTP status to answer with.
        type: the API's error type.
        code: the API's error code or None.
        param: dotted path of the parameter at fault or None.
        detail: what only whoever runs the server may read, as paths on its disk: in `str`, so in the log, never in
            `message`.
        passing: whether the host is at fault and not what was asked, so that the same may succeed later.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        detail: str = "",
        passing: bool = False,
    ) -> None:
        super().__init__(f"{message} ({detail})" if detail else message)
        self.message = message
        self.detail = detail
        self.passing = passing
        self.code = code if code is not None else self.default_code
        self.param = param

    def envelope(self) -> dict[str, dict[str, str | None]]:
        """The API's error body with its four keys."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class InvalidRequest(AssistantsError):
    """The request cannot be served as it stands; nothing was changed."""

    status = 400
    type = "invalid_request_error"


class ThreadBusy(InvalidRequest):
    """A run that is not over holds the thread. Answered with 400: SDKs silently retry 409."""


class IllegalTransition(InvalidRequest):
    """The object's status does not take this event; nothing was changed."""


class UnsupportedFile(InvalidRequest):
    """No parser for this kind of file."""

    default_code = "unsupported_file"


class UnsuitedModel(InvalidRequest):
    """The named model is of another kind: it embeds, transcribes, draws."""

    default_code = "unsupported_model"


class AuthenticationFailed(AssistantsError):
    """No key, or a wrong one."""

    status = 401
    type = "invalid_request_error"


class PermissionDenied(AssistantsError):
    """The request is understood and refused; asking again with the same key does not help."""

    status = 403
    type = "invalid_request_error"


class NotFound(AssistantsError):
    """No object with this id (or it belongs to another parent)."""

    status = 404
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    """The named model is not served here."""

    default_code = "model_not_found"


class TooLarge(AssistantsError):
    """More bytes than a limit allows; nothing was kept."""

    status = 413
    type = "invalid_request_error"


class RateLimited(AssistantsError):
    """A local limit is reached; trying again after `retry_after` seconds helps."""

    retry_after: ClassVar[int] = 1

    status = 429
    type = "rate_limit_error"
    default_code: ClassVar[str | None] = "rate_limit_exceeded"


class ServerFault(AssistantsError):
    """Ours to mend; the message says what the operator can do."""


class BackendFault(ServerFault):
    """The model runtime failed or refused the request."""


class ContextOverflow(BackendFault):
    """The prompt does not fit the model's context window."""

    default_code = "context_length_exceeded"


class ToolFault(ServerFault):
    """A tool cannot work at all. (A call that fails is not a fault: its error text is output for the model.)"""


class SandboxUnavailable(ToolFault):
    """Model-written code cannot be isolated on this host, so it is not run. Says why and what mends it."""

    status = 503


class StorageFault(ServerFault):
    """The disk or the database refused; what was acknowledged before stands."""


class InsufficientStorage(StorageFault):
    """The disk is full, or so nearly that what is left is kept for what must go on; nothing was kept."""

    status = 507


class MissingDependency(ServerFault):
    """A package or a model that this part needs is not here; names the command that gets it."""

    status = 503
