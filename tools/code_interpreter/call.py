"""One call: runs its code in a session that is ours meanwhile, stores what it made, words what the model reads.

Failing code is output and never a failed call. It does not know how code is isolated nor which session it got.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from ...engine.objects import FilePath, ImageOutput, LogsOutput
from ...engine.ports import Emit, MadeFile, ToolResult, ToolSession
from . import environment
from .advice import filters, hints, prelude, refused, remarks
from .isolation.job import DATA
from .kernels.outputs import Failure, Lost, Picture, Text
from .log_stream import LogStream
from .sessions import files, quota
from .sessions.sessions import COLLECTED, Session
from .settings import Settings
from .transcript import Transcript, for_model

_HINT_SECONDS = 5.0
_HINT_CHARS = 100_000
_NAMED = 5  # files that were left out
_SILENCE = "(no output)"
_AGAIN = "That is no answer yet. Call code_interpreter again, with the whole mended code."
_SPEAK = "Nothing is known yet. Hint: use print(...) to see the result."


@dataclass(frozen=True)
class Place:
    """What a call must know of where it runs.

    Attributes:
        loading: gives the lines that load the attached table, "" when there is none or more than one.
        localise: code with the paths of this sandbox.
        tier: the sandbox's.
    """

    loading: Callable[[], Awaitable[str]]
    localise: Callable[[str], str]
    tier: str


class Call:
    """One call in a session that is ours until it ends."""

    def __init__(
        self,
        live: Session,
        session: ToolSession,
        emit: Emit,
        settings: Settings,
        place: Place,
    ) -> None:
        self._live = live
        self._session = session
        self._emit = emit
        self._settings = settings
        self._place = place
        self._images: list[str] = []
        self._doubtful = False
        self._logs = LogStream(self._send_logs)
        pictures = replace(settings.limits, images=min(settings.limits.images, self._left))
        self._transcript = Transcript(pictures, self._logs.write, self._send_picture)

    async def run(self, code: str) -> ToolResult:
        """Run, collect, word the result."""
        before = await asyncio.to_thread(files.snapshot, self._live.data)
        full = await self._hold_back()
        added = await self._prepare(code) if self._settings.hints else ""
        async with self._logs:
            local = self._place.localise(code)
            async with aclosing(self._live.kernel.execute(local)) as outputs:
                async for output in outputs:
                    await self._transcript.add(output)
            failure = self._transcript.failure
            comments = await self._comments(code)
        made, left_out = await self._collect(before)
        if left_out:
            await self._send_logs(f"[{_not_kept(left_out)}]\n")
        if self._transcript.lost is not None:
            self._live.overfull = None
        silent = not (self._transcript.text.strip() or failure or made or self._images)
        notes = [self._news(), full, added, *comments, *_files_notes(made, left_out)]
        notes += self._closing_notes(silent=silent)
        return ToolResult(
            output=for_model(
                self._transcript.text,
                notes,
                tokens=self._session.output_tokens,
                limits=self._settings.limits,
            ),
            files=tuple(made),
            images=tuple(self._images),
            failed=failure is not None or self._transcript.lost is not None,
            silent=silent or self._doubtful,
        )

    def _closing_notes(self, *, silent: bool) -> list[str]:
        """What was shown and kept, and whether that is an answer."""
        notes: list[str] = []
        if self._left == 0:
            most = self._settings.limits.session_files
            notes.append(f"(This session has stored its {most} files and pictures; no more are.)")
        if self._images:
            notes.append(f"({len(self._images)} picture(s) shown to the user)")
        if silent:
            notes += [_SILENCE, _SPEAK if self._settings.hints else ""]
        if self._settings.hints and (self._transcript.failure or silent or self._doubtful):
            notes.append(_AGAIN)
        return notes

    def _news(self) -> str:
        news, self._live.news = self._live.news, ""
        return news if self._transcript.failure is not None else ""

    async def _hold_back(self) -> str:
        """Keep code from writing files while /mnt/data is overfull; says so."""
        told, bound = await quota.looked_at(self._live, self._settings.limits)
        if bound:
            await self._ask(bound)
        if told:
            await self._send_logs(f"[{told}]\n")
        return told and f"({told})"

    async def _prepare(self, code: str) -> str:
        """Make what the code takes for granted; tells what was made."""
        wanted = prelude.missing(code, await self._place.loading())
        if not wanted:
            return ""
        before = self._place.localise(prelude.code_for(wanted))
        made = await self._ask(before, self._settings.limits.wall_seconds)
        lines = [lines for name, lines in wanted if name in made.split()]
        return (
            "(Run before your code, as it was missing:\n" + "\n".join(lines) + ")" if lines else ""
        )

    async def _comments(self, code: str) -> list[str]:
        """The error in short, and the hint; without an error what helps to read the output."""
        failure = self._transcript.failure
        if not self._settings.hints:
            return [] if failure is None else [hints.summary(failure)]
        installed = environment.find(self._settings.environment)
        packages = installed.describe().split(", ") if installed else []
        installing = refused.about_installing(code, packages)
        if failure is None:
            return [installing, *await self._remarks(code)]
        return [hints.summary(failure), installing or await self._hint(code, failure, packages)]

    async def _hint(self, code: str, failure: Failure, packages: Sequence[str]) -> str:
        """What to do about an error."""
        listed = await asyncio.to_thread(files.names, self._live.data)
        limits, tier = self._settings.limits, self._place.tier
        known = refused.hint(failure, limits, tier=tier, files=listed)
        if known:
            return known
        at_hand = await self._ask(hints.COLUMNS_CODE)
        facts = hints.Facts(
            tables=hints.read_tables(at_hand),
            holders=hints.read_holders(at_hand),
            files=listed,
            packages=packages,
            loading=await self._place.loading(),
            conditions=filters.conditions(code),
        )
        return hints.hint(failure, facts)

    async def _remarks(self, code: str) -> Sequence[str]:
        """What helps to read the output, or makes it doubtful."""
        said = await remarks.remarks(code, self._transcript.text, self._ask)
        self._doubtful = said.doubtful
        return said.notes

    async def _ask(self, question: str, seconds: float = _HINT_SECONDS) -> str:
        """What the kernel prints in answer to code of ours; untrusted."""
        said = ""
        async for output in self._live.kernel.execute(question, seconds=seconds, silent=True):
            if isinstance(output, Text) and output.kind == "stdout" and len(said) < _HINT_CHARS:
                said += output.text
            elif isinstance(output, Lost):
                await self._transcript.add(output)
        return said

    @property
    def _left(self) -> int:
        """How many files and pictures may still be stored of this session."""
        return max(0, self._settings.limits.session_files - self._live.stored)

    async def _collect(self, before: dict[str, files.Stamp]) -> tuple[list[MadeFile], list[str]]:
        save = self._session.save_file
        if save is None:
            return [], []
        limits = self._settings.limits
        limits = replace(limits, files=min(limits.files, self._left))
        # Beside the data and not in /tmp, which may be small or memory; a killed engine's leftover is swept there.
        with tempfile.TemporaryDirectory(prefix=COLLECTED, dir=self._live.folder) as folder:
            found = await asyncio.to_thread(
                files.collect, self._live.data, before, Path(folder), limits
            )
            made = [
                MadeFile(f"{DATA}/{item.path}", (await save(item.name, item.copy)).id)
                for item in found.files
            ]
        self._live.stored += len(made)
        return made, found.left_out

    async def _send_logs(self, text: str) -> None:
        await self._emit(LogsOutput(logs=text))

    async def _send_picture(self, picture: Picture) -> None:
        save = self._session.save_file
        if save is None:
            return
        await self._logs.flush()  # what was printed before it is shown before it
        stored = await save(f"image_{len(self._images) + 1}{picture.suffix}", picture.data)
        self._live.stored += 1
        self._images.append(stored.id)
        await self._emit(ImageOutput(image=FilePath(file_id=stored.id)))


def _files_notes(made: Sequence[MadeFile], left_out: Sequence[str]) -> list[str]:
    notes: list[str] = []
    if made:
        notes.append("Files saved: " + ", ".join(item.path for item in made))
    if left_out:
        notes.append(_not_kept(left_out))
    return notes


def _not_kept(left_out: Sequence[str]) -> str:
    more = len(left_out) - _NAMED
    rest = f"; and {more} more" if more > 0 else ""
    return "Not stored, only in /mnt/data: " + "; ".join(left_out[:_NAMED]) + rest
