"""What a call said: capped for the API, cut for the model."""

import pytest

from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels.outputs import Failure, Picture, Text
from local_assistants.tools.code_interpreter.transcript import Transcript, for_model

PNG = b"\x89PNG\r\n\x1a\n"


class Screen:
    """Collects what a transcript shows."""

    def __init__(self, limits: Limits) -> None:
        self.logs: list[str] = []
        self.pictures: list[Picture] = []
        self.transcript = Transcript(limits, self._logs, self._picture)

    async def _logs(self, text: str) -> None:
        self.logs.append(text)

    async def _picture(self, picture: Picture) -> None:
        self.pictures.append(picture)


async def test_logs_end_with_a_note_at_their_cap() -> None:
    """What comes after the cap is dropped silently, the note comes once."""
    screen = Screen(Limits(log_chars=10))
    for _ in range(3):
        await screen.transcript.add(Text("12345678"))
    assert ["12345678", "12\n[output ends here: more than 10 characters]\n"] == screen.logs


async def test_pictures_end_at_their_cap() -> None:
    """The note says how many are kept."""
    screen = Screen(Limits(images=1))
    for _ in range(3):
        await screen.transcript.add(Picture(PNG))
    assert 1 == len(screen.pictures)
    assert ["[only the first 1 pictures are kept]\n"] == screen.logs


async def test_a_traceback_is_logged_but_not_given_to_the_model() -> None:
    """The model gets the short form instead."""
    screen = Screen(Limits())
    await screen.transcript.add(Failure("E", "v", "a long traceback"))
    assert ["a long traceback"] == screen.logs
    assert "" == screen.transcript.text


def test_long_output_loses_its_middle_and_keeps_its_notes() -> None:
    """Beginning, end and every note stay within the budget."""
    said = for_model("a" * 900 + "z" * 900, ["note"], tokens=200, limits=Limits())
    assert said.startswith("aaa")
    assert said.endswith("zzz\nnote")
    assert len(said) < 200 * 3 + 60


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("10%\r55%\r100%\ndone", "100%\ndone"),
        ("10%\r55%\r", "55%"),
        ("a\r\nb\r\n", "a\nb"),
        ("plain", "plain"),
    ],
)
def test_a_progress_bar_is_read_as_it_is_seen(printed: str, seen: str) -> None:
    """What was written over costs the model no tokens."""
    assert seen == for_model(printed, [], tokens=200, limits=Limits())
