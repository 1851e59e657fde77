"""What the model gets to see of a thread, and what is dropped when it does not fit."""

from collections.abc import Sequence

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import ChatMessage, ChatRequest, ImagePart, TextPart, ToolCall
from local_assistants.engine.context import Rendering, Unit, fit, last_messages, units_of
from local_assistants.engine.objects import (
    Attachment,
    Content,
    ImageFile,
    ImageFileContent,
    ImageUrl,
    ImageUrlContent,
    Message,
    TextContent,
    TextValue,
)
from local_assistants.engine.ports import TranscriptEntry
from local_assistants.engine.states import MessageStatus


def text(value: str) -> TextContent:
    """A text part."""
    return TextContent(text=TextValue(value=value))


def message(name: str, *parts: Content, role: str = "user", files: Sequence[str] = ()) -> Message:
    """A message whose id and, without parts, whose text is `name`."""
    return Message(
        id=name,
        created_at=1,
        thread_id="t",
        status=MessageStatus.COMPLETED,
        role=role,  # type: ignore[arg-type]
        content=parts or (text(name),),
        attachments=tuple(Attachment(file_id=file_id) for file_id in files),
    )


def api(name: str) -> TranscriptEntry:
    """The entry of a client's message."""
    return TranscriptEntry("t", message_id=name)


def said(content: str, name: str | None, *calls: str) -> TranscriptEntry:
    """The entry of a turn: what the model said, as which message, and the calls it made."""
    made = tuple(ToolCall(id=call, name="f", arguments="{}") for call in calls)
    body = ChatMessage(role="assistant", content=content, tool_calls=made)
    return TranscriptEntry("t", run_id="r", message_id=name, body=body)


def output(call: str) -> TranscriptEntry:
    """The entry of a tool's output."""
    body = ChatMessage(role="tool", content=f"out {call}", tool_call_id=call, name="f")
    return TranscriptEntry("t", run_id="r", body=body)


async def _brief(attachments: Sequence[Attachment]) -> str:
    return " ".join(f"<{attachment.file_id}>" for attachment in attachments)


async def units(
    entries: Sequence[TranscriptEntry], *messages: Message, vision: bool = False
) -> list[Unit]:
    """The units of a transcript over these messages."""
    known = {m.id: m for m in messages}
    rendering = Rendering(_brief, lambda file_id: f"/blobs/{file_id}", vision, known)
    return await units_of(entries, rendering)


def shown(found: Sequence[Unit]) -> list[list[str]]:
    """Each unit as the roles and texts of its messages."""
    return [[f"{m.role}: {m.text}" for m in unit.messages] for unit in found]


async def test_each_answer_forms_a_unit_with_the_calls_that_led_to_it() -> None:
    """And counts as one API message."""
    entries = [api("q1"), said("", None, "c1"), output("c1"), said("A1", "a1"), api("q2")]
    found = await units(entries, message("q1"), message("a1", role="assistant"), message("q2"))

    assert [["user: q1"], ["assistant: ", "tool: out c1", "assistant: A1"], ["user: q2"]] == shown(
        found
    )
    assert [1, 1, 1] == [unit.api_messages for unit in found]


async def test_what_a_running_turn_has_added_counts_as_no_message() -> None:
    """Also when the model spoke before it called: the answer is not finished yet."""
    entries = [api("q"), said("Let me see.", "a", "c1"), output("c1")]
    found = await units(entries, message("q"), message("a", role="assistant"))

    assert [["user: q"], ["assistant: Let me see.", "tool: out c1"]] == shown(found)
    assert [1, 0] == [unit.api_messages for unit in found]


async def test_calls_that_were_never_answered_get_a_note() -> None:
    """Models refuse prompts with open calls; the note says what became of them."""
    found = await units([api("q"), said("", None, "c1", "c2"), output("c2"), api("q2")],
                        message("q"), message("q2"))  # fmt: skip
    note = "No output: the run ended before this call was answered."

    assert ["assistant: ", f"tool: {note}", "tool: out c2", "user: q2"] == shown(found)[1]


async def test_a_deleted_message_is_forgotten() -> None:
    """With the outputs of the calls that were part of it: an output without its call would be refused."""
    entries = [api("q"), api("gone"), said("Hm", "gone too", "c1"), output("c1"), api("q2")]

    assert [["user: q"], ["user: q2"]] == shown(await units(entries, message("q"), message("q2")))
    # the store drops the line of a deleted message itself
    del entries[2]
    assert [["user: q"], ["user: q2"]] == shown(await units(entries, message("q"), message("q2")))


async def test_text_parts_are_joined_and_briefs_come_before_them() -> None:
    """One chat message per API message; the question is the last thing said."""
    plain = await units([api("q")], message("q", text("one"), text("two")))
    found = await units([api("q")], message("q", text("one"), text("two"), files=["file-1"]))

    assert "one\n\ntwo" == plain[0].messages[0].content
    assert (TextPart(text="<file-1>"), TextPart(text="one\n\ntwo")) == found[0].messages[0].content


async def test_pictures_are_for_models_that_see() -> None:
    """Others read that there was one."""
    parts = (
        text("look"),
        ImageFileContent(image_file=ImageFile(file_id="file-1")),
        ImageUrlContent(image_url=ImageUrl(url="data:image/png;base64,AA")),
    )
    blind = await units([api("q")], message("q", *parts))
    seeing = await units([api("q")], message("q", *parts), vision=True)

    note = "[An image that this model cannot see.]"
    assert [[f"user: look\n\n{note}\n\n{note}"]] == shown(blind)
    assert (
        ImagePart(url="/blobs/file-1"),
        ImagePart(url="data:image/png;base64,AA"),
        TextPart(text="look"),
    ) == seeing[0].messages[0].content


def unit(name: str, words: int = 1, api_messages: int = 1, role: str = "user") -> Unit:
    """A unit of one message with this many words, named by its first."""
    content = " ".join([name, *["w"] * (words - 1)])
    return Unit((ChatMessage(role=role, content=content),), api_messages)  # type: ignore[arg-type]


RUNNING = Unit(
    (
        ChatMessage(role="assistant", tool_calls=(ToolCall(id="c", name="f", arguments=""),)),
        ChatMessage(role="tool", content="out w w", tool_call_id="c"),
    ),
    api_messages=0,
)


def test_last_messages_counts_messages_and_keeps_the_running_turn() -> None:
    """The newest n, and what the run itself has added."""
    thread = [unit("a"), unit("b"), unit("c")]

    assert thread[1:] == last_messages(thread, 2)
    assert thread == last_messages(thread, 9)
    assert [thread[2], RUNNING] == last_messages([*thread, RUNNING], 1)


class Counted(ScriptedBackend):
    """Counts how often it was asked to count."""

    def __init__(self) -> None:
        super().__init__(())
        self.counts = 0

    async def count_tokens(self, request: ChatRequest) -> int:
        """Words."""
        self.counts += 1
        return await super().count_tokens(request)


SYSTEM = ChatRequest((ChatMessage(role="system", content="system"),))


async def fitted(thread: Sequence[Unit], limit: int) -> tuple[list[str], int]:
    """First words of what is left of a thread, and its tokens."""
    request, tokens = await fit(SYSTEM, thread, Counted(), limit)
    return [(m.text or m.role).split()[0] for m in request.messages], tokens


async def test_what_fits_is_kept_whole() -> None:
    """At the limit exactly, too."""
    thread = [unit("a"), unit("b"), unit("c")]

    assert (["system", "a", "b", "c"], 4) == await fitted(thread, 4)


async def test_the_middle_is_dropped_oldest_first() -> None:
    """The thread's first message and the newest one stay longest."""
    thread = [unit(name, 10) for name in "abcdefgh"]

    assert (["system", "a", "e", "f", "g", "h"], 51) == await fitted(thread, 60)
    assert (["system", "a", "h"], 21) == await fitted(thread, 21)


async def test_the_newest_question_always_stays() -> None:
    """Even over the limit: what that means is for the caller to say."""
    thread = [unit(name, 10) for name in "abc"]

    assert (["system", "c"], 11) == await fitted(thread, 11)
    assert (["system", "c"], 11) == await fitted(thread, 3)
    assert (["system", "c"], 11) == await fitted(thread[2:], 3)
    assert (["system"], 1) == await fitted([], 3)


async def test_a_running_turn_keeps_its_question() -> None:
    """Tool outputs without the question they serve would be worthless."""
    question = unit("q", 10)
    kept = ["system", "q", "assistant", "out"]

    assert (kept, 14) == await fitted([question, RUNNING], 5)
    assert (kept, 14) == await fitted([unit("a", 10), question, RUNNING], 5)
    assert (kept, 14) == await fitted([unit("a", 10), unit("b", 10), question, RUNNING], 14)


async def test_a_long_thread_is_cut_in_few_steps() -> None:
    """A quarter at a time: counting tokens is not free, and the cached prefix survives some turns."""
    backend = Counted()
    await fit(SYSTEM, [unit("m", 10) for _ in range(1000)], backend, 50)

    assert backend.counts < 40
