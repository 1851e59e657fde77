"""What refusals of servers become."""

import email.utils
import json
import time

import pytest

from local_assistants.backends.openai_compatible.faults import TryAgain, status_fault
from local_assistants.engine.errors import (
    BackendFault,
    ContextOverflow,
    InvalidRequest,
    RateLimited,
)

# Code and message of the answers of llama-server (new and old), vLLM (new and old), OpenAI, Ollama, LM Studio.
OVERFLOWS = [
    ("exceed_context_size_error", "request (1220 tokens) exceeds the available context size (256)"),
    ("server_error", "the request exceeds the available context size. try increasing it"),
    ("BadRequestError", "This model's maximum context length is 4096 tokens. However, you ..."),
    ("BadRequestError", "The decoder prompt (length 90) is longer than the maximum model length"),
    ("context_length_exceeded", "too much"),
    ("api_error", "the prompt is too long; exceeds maximum context length"),
    ("api_error", "input length exceeds the context length"),
    (
        "error",
        "The number of tokens to keep from the initial prompt is greater than the context length",
    ),
]


@pytest.mark.parametrize(("code", "message"), OVERFLOWS)
@pytest.mark.parametrize("status", [400, 500])
def test_overflow_is_known_by_its_words(status: int, code: str, message: str) -> None:
    """Servers do not agree on a status."""
    forms = [
        {"error": {"type": code, "message": message}},
        {"object": "error", "code": code, "message": message},
        {"error": f"{code}: {message}"},
    ]
    for form in forms:
        fault = status_fault(status, json.dumps(form).encode())
        assert isinstance(fault, ContextOverflow)
        assert message[:30] in fault.message


def test_other_errors_are_no_overflow() -> None:
    """Words such as context and length occur elsewhere."""
    said = b'{"error": {"message": "max_tokens must be at least 1, context is fine"}}'
    assert type(status_fault(400, said)) is BackendFault


@pytest.mark.parametrize(
    ("status", "kind", "down"),
    [
        (429, RateLimited, False),
        (408, BackendFault, False),
        (500, BackendFault, False),
        (502, BackendFault, True),
        (503, BackendFault, True),
        (504, BackendFault, True),
        (529, BackendFault, False),
    ],
)
def test_what_may_be_tried_again(status: int, kind: type[Exception], down: bool) -> None:
    """And whether the endpoint is left out meanwhile."""
    failure = status_fault(status, b'{"error": {"message": "busy"}}')
    assert isinstance(failure, TryAgain)
    assert (kind, down) == (type(failure.fault), failure.down)
    assert f"answered {status}: busy" in failure.fault.message


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "api_key_env"),
        (403, "api_key_env"),
        (404, "name of the model"),
        (302, "Redirects are not followed"),
        (418, ""),
    ],
)
def test_what_may_not(status: int, advice: str) -> None:
    """The text says what to do."""
    fault = status_fault(status, b"<html>nope</html>")
    assert type(fault) is BackendFault
    assert advice in fault.message


def test_a_schema_that_is_refused_is_the_request_s_fault() -> None:
    """The client can mend it."""
    said = b'{"error": {"message": "JSON schema error at #: cannot resolve $ref #/x"}}'
    fault = status_fault(400, said)
    assert isinstance(fault, InvalidRequest)
    assert "cannot resolve $ref" in fault.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), (" 3 ", 3.0), ("soon", None), ("-1", None), ("", None)],
)
def test_how_long_to_wait_in_seconds(header: str, seconds: float | None) -> None:
    """Nonsense is not a time."""
    failure = status_fault(429, b"", header)
    assert isinstance(failure, TryAgain)
    assert seconds == failure.retry_after


def test_how_long_to_wait_as_a_date() -> None:
    """In the form of mail headers."""
    failure = status_fault(503, b"", email.utils.formatdate(time.time() + 100, usegmt=True))
    assert isinstance(failure, TryAgain)
    assert failure.retry_after is not None
    assert 90 < failure.retry_after <= 100


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b"", b"x" * 60_000, b"a\x1b[2J\nb"])
def test_any_body_gives_a_short_printable_text(body: bytes) -> None:
    """What servers say is shown in one line of bounded length."""
    fault = status_fault(400, body)
    assert isinstance(fault, BackendFault)
    assert len(fault.message) < 400
    assert fault.message.isprintable()
