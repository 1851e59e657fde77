"""What `serve` shows of models that come and go."""

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


def test_a_load_that_failed_leaves_the_line_to_its_message() -> None:
    """Which the log writes."""
    wipe = "\r\x1b[K"
    failed = ModelStatus("m", "failed", detail="no memory")
    assert f"{wipe}loading m: 0%{wipe}" == shown(Terminal(), LIFE[0], failed)


def test_the_end_leaves_no_percents() -> None:
    """When the server is stopped while a model is loaded."""
    assert shown(Terminal(), LIFE[1]).endswith("\r\x1b[K")
