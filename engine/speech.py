"""One message while the model writes it: opens its step and message, shows fragments, completes both.

Produces operations on a journal unit; the turn commits them. Images that the run's code has made come first, then
the text (contract, 3.4 e). Content is kept so that a message cut short keeps what was shown.
"""

from collections.abc import Callable, Sequence

from .annotations import Annotator, Piece
from .events import EventName, image_part, message_delta, text_part
from .journal import Unit
from .objects import (
    Annotation,
    Content,
    ImageFile,
    ImageFileContent,
    Message,
    MessageCreation,
    MessageCreationDetails,
    Run,
    RunStep,
    TextContent,
    TextValue,
    Usage,
)
from .states import MESSAGE, STEP, MessageStatus, On, StepStatus

Operation = Callable[[Unit], object]


def apply(run_id: str, operations: Sequence[Operation], unit: Unit) -> None:
    """Carry out operations of a run, in order; none of them when the run is over.

    Raises:
        IllegalTransition: another process has ended the run.
    """
    unit.must_work(run_id)
    for operation in operations:
        operation(unit)


class Speech:
    """A message in the making. `operations` are to be committed in order."""

    def __init__(
        self, run: Run, ids: tuple[str, str], annotator: Annotator, images: Sequence[str]
    ) -> None:
        self.step_id, self.message_id = ids
        self._run = run
        self._annotator = annotator
        self._images = tuple(images)
        self._text_shown = False
        self._annotation_count = 0
        self._message: Message | None = None  # as it was created

    def open(self) -> list[Operation]:
        """Create step and message, show the images."""
        return [self._create] + [
            self._delta(image_part(index, file_id)) for index, file_id in enumerate(self._images)
        ]

    def write(self, text: str) -> list[Operation]:
        """Show a fragment (as far as it is certain)."""
        return self._show(self._annotator.feed(text))

    def close(self, usage: Usage, *, closing_marks: bool) -> list[Operation]:
        """Show the rest and complete message and step."""
        operations = self.release()
        if closing_marks:
            operations += self._show(self._annotator.closing_marks())
        content = self.content()
        return [
            *operations,
            lambda unit: self._complete(unit, content),
            lambda unit: unit.fire(RunStep, self.step_id, On.COMPLETE, usage=usage),
        ]

    def release(self) -> list[Operation]:
        """The text ends here though the message is not complete: show what was held back."""
        return self._show(self._annotator.close())

    def content(self) -> tuple[Content, ...]:
        """What has been shown so far, as the message stores it."""
        images = tuple(ImageFileContent(image_file=ImageFile(file_id=f)) for f in self._images)
        if not self._text_shown:
            return images
        value = TextValue(
            value=self._annotator.value, annotations=tuple(self._annotator.annotations)
        )
        return (*images, TextContent(text=value))

    def _create(self, unit: Unit) -> None:
        run, now = self._run, unit.now
        details = MessageCreationDetails(
            message_creation=MessageCreation(message_id=self.message_id)
        )
        step = RunStep(
            id=self.step_id,
            created_at=now,
            run_id=run.id,
            assistant_id=run.assistant_id,
            thread_id=run.thread_id,
            type="message_creation",
            status=StepStatus(STEP.initial),
            expires_at=run.expires_at,
            step_details=details,
        )
        message = Message(
            id=self.message_id,
            created_at=now,
            assistant_id=run.assistant_id,
            thread_id=run.thread_id,
            run_id=run.id,
            status=MessageStatus(MESSAGE.initial),
            role="assistant",
        )
        unit.save(step, EventName.STEP_CREATED, EventName.STEP_IN_PROGRESS)
        self._message = message
        unit.save(message, EventName.MESSAGE_CREATED, EventName.MESSAGE_IN_PROGRESS)

    def _complete(self, unit: Unit, content: tuple[Content, ...]) -> None:
        """Complete the message; one deleted while it was written is completed for those who follow it only."""
        if unit.tx.get(Message, self.message_id) is not None:
            unit.fire(Message, self.message_id, On.COMPLETE, content=content)
        elif self._message is not None:
            ended = MESSAGE.fire(self._message, On.COMPLETE, unit.now, content=content)
            unit.emit(self._run.id, EventName.MESSAGE_COMPLETED, ended.to_wire())

    def _show(self, pieces: Sequence[Piece]) -> list[Operation]:
        """Deltas for the pieces: plain neighbours joined, each annotation alone, whole and once."""
        operations: list[Operation] = []
        plain = ""
        for piece in pieces:
            if piece.annotation is None:
                plain += piece.value
                continue
            operations += self._text(plain, None) if plain else []
            plain = ""
            index = self._annotation_count
            self._annotation_count += 1
            operations += self._text(
                piece.value, piece.annotation.model_copy(update={"index": index})
            )
        return operations + (self._text(plain, None) if plain else [])

    def _text(self, value: str, annotation: Annotation | None) -> list[Operation]:
        annotations = [annotation] if annotation else None if self._text_shown else []
        self._text_shown = True
        return [self._delta(text_part(len(self._images), value, annotations))]

    def _delta(self, part: dict[str, object]) -> Operation:
        data = message_delta(self.message_id, part)
        return lambda unit: unit.emit(self._run.id, EventName.MESSAGE_DELTA, data)
