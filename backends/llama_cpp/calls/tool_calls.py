"""Finding tool calls in what a model writes, while it writes.

Small models do not keep to their template. A call may come in a tag (<tool_call>, <tools>, ...), in a code fence,
as bare JSON on a line of its own, in a list, doubled in braces, as a name and its arguments behind a tag; a tool that
takes source code may be called by a fenced block of it. What can still become a call is held back; what turns out not
to be one is text after all. The outcome never depends on how the text was cut into pieces.

After a call only more calls are taken: what a model says then is a guess at the result, so the turn is `done`. The
parser does not check arguments against schemas (grammars do) and knows no tokens.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from ....engine.chat import Delta, TextDelta, ToolCallDelta, ToolSchema
from ..dialects import takes_block
from .call_object import CallObject
from .call_openings import FENCE, NAME_TAGS, Opening, after_call, read_opening
from .json_object import ObjectScanner
from .source_block import SourceBlock
from .speech import Speech


class _State(Enum):
    SPEECH = auto()  # ordinary text
    OPENING = auto()  # tag, fence, bracket: a call may follow
    OBJECT = auto()  # inside the braces
    CODE = auto()  # inside source code that is a call
    AFTER = auto()  # between calls
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A brace in a text to come. `tool`: it opens the arguments of a call of this tool, else it opens a call's object.

    `sure`: that it will be a call.
    """

    at: int
    tool: str | None
    sure: bool


class CallParser:
    """The parser of one turn.

    `executed` holds source code that the conversation has run already: a block that repeats it is a quotation, not
    a call. `reply` is the name of the pseudo tool for answers in words: its message is text, and ends the turn.
    """

    def __init__(
        self,
        tools: Sequence[ToolSchema],
        *,
        parallel: bool = True,
        executed: Iterable[str] = (),
        reply: str | None = None,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._reply = reply
        self._known: set[str] = {*self._tools, *([reply] if reply else [])}
        self._code_tool = next((tool for tool in tools if takes_block(tool)), None)
        self._parallel = parallel
        self._executed = tuple(code.strip() for code in executed)
        self.calls = 0  # complete ones
        self.vouched = True  # a grammar goes along: arguments that come before the name, too, fit
        self._state = _State.SPEECH
        self._buffer: str = ""  # not decided on yet
        self._held: str = ""  # what has been read of a call that has not begun
        self._speech = Speech()
        self._object = CallObject(Opening("more"), self._known, reply)
        self._fenced = self._started = self._replying = False
        self._block = SourceBlock("")
        self._out: list[Delta] = []

    @property
    def done(self) -> bool:
        """Whether nothing that follows can matter."""
        return self._state is _State.DONE

    @property
    def in_object(self) -> bool:
        """Whether the text is inside the braces of what may be a call."""
        return self._state is _State.OBJECT

    @property
    def begun(self) -> bool:
        """Whether a call (or an answer in its form) has begun and is not complete."""
        return self._started or self._replying

    @property
    def committed(self) -> bool:
        """Whether the object is sure enough a call for a grammar to take over."""
        if not self.in_object:
            return False
        scanner = self._object.scanner
        opens_turn = not self._speech.said_something and scanner.first_key == "name"
        return self._object.opening.tagged or opens_turn or scanner.name in self._known

    @property
    def awaits(self) -> Literal["name", "arguments"] | None:
        """What has to come next: a tool's name behind its tag, or the arguments of a call that has a name."""
        if self._state is _State.OPENING and self._buffer.rstrip().endswith(NAME_TAGS):
            return "name"
        return "arguments" if self.in_object and self._object.awaits_arguments else None

    @property
    def tool(self) -> str | None:
        """The name in the call's object, once it was read."""
        return self._object.name if self.in_object else None

    def foresee(self, piece: str) -> Iterator[Foreseen]:
        """The braces of possible calls and of their arguments in `piece`, if it came next."""
        probe = self.fork()
        for index, char in enumerate(piece):
            before = probe.in_object, probe.begun
            probe.feed(char)
            if probe.begun and probe.in_object and not before[1]:
                yield Foreseen(index, probe.tool, sure=True)
            elif probe.in_object and not before[0] and char == "{":
                yield Foreseen(index, None, sure=probe.committed)

    def fork(self) -> "CallParser":
        """A parser in the same state, to try a text on."""
        fork = copy.copy(self)
        fork._speech, fork._object = self._speech.fork(), self._object.fork()
        fork._block = copy.copy(self._block)
        fork._out = []
        return fork

    def feed(self, text: str) -> list[Delta]:
        """What has become certain with `text`."""
        self._buffer += text
        steps = {
            _State.SPEECH: self._speak,
            _State.OPENING: self._opening,
            _State.OBJECT: self._read_object,
            _State.CODE: self._read_source,
            _State.AFTER: self._after,
        }
        while self._state in steps and steps[self._state]():
            pass
        return self._take()

    def end(self, *, cut: bool, sure: bool = False) -> list[Delta]:
        """The rest, at the end of the turn.

        Args:
            cut: it ran out of tokens, so a begun call stays unfinished.
            sure: what has not become a call would have: it is no text.
        """
        if self._state is _State.OBJECT:
            self._end_object(sure=sure)
        elif self._state is _State.CODE:
            self._end_source(cut=cut)
        elif self._state in (_State.SPEECH, _State.OPENING) and not (self.calls or sure):
            self._say(self._speech.say(self._buffer))
        space = self._speech.give_up_space()
        if not (self.calls or self.begun or sure):
            self._say(space)
        self._state, self._buffer = _State.DONE, ""
        return self._take()

    # --- text -----------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        if text:
            self._out.append(TextDelta(text))

    def _take(self) -> list[Delta]:
        out, self._out = self._out, []
        return out

    def _speak(self) -> bool:
        said, self._buffer, opens = self._speech.read(self._buffer)
        self._say(said)
        self._state = _State.OPENING if opens else self._state
        return opens

    # --- the way into a call ----------------------------------------------------------------------

    def _opening(self) -> bool:
        """Read tags, fences and brackets up to the brace (or the code) that must follow."""
        opening = read_opening(self._buffer, code=self._code_tool is not None)
        if opening.kind == "more":
            return False
        head, self._buffer = self._buffer[: opening.length], self._buffer[opening.length :]
        self._fenced, self._held = opening.fenced, head
        known = opening.kind != "named" or opening.name in self._known
        if opening.kind in ("object", "named") and known:
            self._state = _State.OBJECT
            self._object = CallObject(opening, self._known, self._reply)
        elif opening.kind in ("code", "script") and self._code_tool is not None:
            self._state = _State.CODE
            key, fenced = str(self._code_tool.code_argument), opening.kind == "code"
            self._block = SourceBlock(key, self._executed, fenced=fenced)
        else:
            self._reject(fenced=opening.fenced)
        return True

    def _reject(self, *, fenced: bool, skip: ObjectScanner | None = None) -> None:
        """It was no call: text, or the end of the turn if a call went before."""
        if self.calls:
            self._state = _State.DONE
            return
        held, self._held = self._held, ""
        self._say(self._speech.take_back(held, fenced=fenced, skip=skip))
        self._state = _State.SPEECH

    # --- inside a call -----------------------------------------------------------------------------

    def _read_object(self) -> bool:
        fragment = ""
        for index, char in enumerate(self._buffer):
            fragment += self._object.read(char)
            self._held += char
            if self._object.begins:
                self._begin(str(self._object.name))
            if self._object.is_over:
                self._buffer = self._buffer[index + 1 :]
                self._give(fragment)
                self._leave_object()
                return True
        self._buffer = ""
        self._give(fragment)
        return False

    def _leave_object(self) -> None:
        if self.begun:
            self._complete()
            return
        keys = {name: tool.code_argument for name, tool in self._tools.items()}
        call = self._object.late_call(keys) if self.vouched else None
        if call is not None:
            self._begin(call[0])
            self._give(call[1])
            self._complete()
            return
        scanner = self._object.scanner
        goes_on = not scanner.closed and not self._fenced
        self._reject(fenced=self._fenced, skip=scanner if goes_on else None)

    def _end_object(self, *, sure: bool) -> None:
        """The turn ended inside the braces. Whole arguments make a whole call."""
        if self._started and self._object.whole:
            self._complete()
        elif not (self.begun or self.calls or sure):
            self._say(self._speech.say(self._held))

    def _begin(self, name: str) -> None:
        self._speech.give_up_space()
        self._replying = name == self._reply
        self._started = not self._replying
        if self._started:
            self._out.append(ToolCallDelta(self.calls, name))

    def _give(self, fragment: str) -> None:
        if self._started and fragment:
            self._out.append(ToolCallDelta(self.calls, None, fragment))
        elif self._replying and not self.calls:  # behind a call it would be a guess at the result
            self._say(fragment)

    def _complete(self) -> None:
        if self._replying:
            self._state = _State.DONE
            return
        self.calls += 1
        self._started, self._held = False, ""
        self._state = _State.AFTER if self._parallel else _State.DONE

    # --- source code as a call -----------------------------------------------------------------------

    def _read_source(self) -> bool:
        fragment, self._buffer, ended = self._block.read(self._buffer)
        self._give_source(fragment)
        if ended:
            self._end_block()
        return ended

    def _give_source(self, fragment: str) -> None:
        if fragment and not self._started and self._code_tool is not None:
            self._begin(self._code_tool.name)
        self._give(fragment)

    def _end_block(self) -> None:
        last = self._block.end()
        if last is None:
            self._held += self._block.text
            self._reject(fenced=False)
            return
        self._give_source(last)
        self._fenced = False
        self._complete()

    def _end_source(self, *, cut: bool) -> None:
        self._read_source()
        if self._state is _State.CODE and not (cut and self._started):
            self._block.text += self._buffer
            self._end_block()

    # --- after a call ----------------------------------------------------------------------------------

    def _after(self) -> bool:
        """Skip what closes a call; anything else must open the next one."""
        self._buffer = self._buffer.lstrip(" \t\r\n,]}")
        kind, length = after_call(self._buffer, fenced=self._fenced)
        if kind == "closing":
            self._fenced = self._fenced and not self._buffer.startswith(FENCE)
            self._buffer = self._buffer[length:]
        elif kind != "more":
            self._state = _State.OPENING if kind == "opening" else _State.DONE
        return kind in ("closing", "opening")
