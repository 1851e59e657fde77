"""What `serve` shows of models that come and go."""

import asyncio
from io import StringIO

from local_assistants.cli.model_lines import ModelLines
from local_assistants.engine.ports import ModelStatus


class Terminal(StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """It does."""
        return True


def shown(out: StringIO, *statuses: ModelStatus) -> str:
    """What stands in the stream after these."""
    with ModelLines(out) as lines:
        for status in statuses:
            lines.model_changed(status)
    return out.getvalue()


LIFE = (
    ModelStatus("m", "loading"),
    ModelStatus("m", "loading", 0.42),
    ModelStatus("m", "ready", 1.0, 5, "2 threads"),
    ModelStatus("m", "unloaded"),
)


def test_a_terminal_shows_percents_in_place() -> None:
    """And keeps what came of it."""
    wipe = "\r\x1b[K"
    assert (
        f"{wipe}loading m: 0%{wipe}loading m: 42%{wipe}m is loaded: 2 threads\nm is unloaded\n"
    ) == shown(Terminal(), *LIFE)


def test_a_log_has_only_what_came_of_it() -> None:
    """No percents, no control characters."""
    assert "m is loaded: 2 threads\nm is unloaded\n" == shown(StringIO(), *LIFE)


FAILED = ModelStatus("m", "failed", detail="no memory")
NOBODY = (
    "No model answers yet: runs fail with this reason until it is mended. Each run tries again, and GET /readyz says "
    "when a model is there.\n"
)


def test_a_load_that_failed_says_what_it_means() -> None:
    """Once, however often it fails; the reason is left to the log."""
    assert NOBODY == shown(StringIO(), LIFE[0], FAILED, LIFE[0], FAILED)


def test_a_load_that_failed_beside_a_model_that_answers() -> None:
    """Is left to its message."""
    other = ModelStatus("other", "ready")
    assert "other is loaded\n" == shown(StringIO(), other, LIFE[0], FAILED)


async def test_what_it_means_comes_after_the_log_s_message() -> None:
    """Which is written when all observers have heard."""
    out = StringIO()
    ModelLines(out).model_changed(FAILED)
    out.write("the model m cannot be loaded: no memory\n")
    await asyncio.sleep(0)
    assert f"the model m cannot be loaded: no memory\n{NOBODY}" == out.getvalue()


def test_the_end_leaves_no_percents() -> None:
    """When the server is stopped while a model is loaded."""
    assert shown(Terminal(), LIFE[1]).endswith("\r\x1b[K")
