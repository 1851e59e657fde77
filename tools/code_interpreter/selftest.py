"""Establishes isolation: finds the best sandbox, starts a kernel in it, and has both try to get out.

Everything that tells about isolation, from `doctor` to a run's error, asks here and so says the same. It holds
nothing open.
"""

import asyncio
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from ...engine.errors import AssistantsError, SandboxUnavailable, StorageFault
from . import environment
from .environment import Environment
from .isolation import probe
from .isolation.bait import Bait, Check
from .isolation.refusal import REPORT
from .isolation.report import Attempt, Report
from .isolation.runner import Runner, Unsandboxed
from .kernels.kernel import Kernel
from .kernels.outputs import Failure, Lost, Text
from .settings import Settings

_LOG = logging.getLogger(__name__)


async def isolate(settings: Settings) -> Runner:
    """What code is to be run in; says in the log what is not as it should be.

    Raises:
        SandboxUnavailable: no code can be run here; the message says why and what mends it.
        StorageFault: the folder for sessions cannot be made.
    """
    found = await asyncio.to_thread(environment.find, settings.environment)
    if found is None:
        raise SandboxUnavailable(
            f"there is no interpreter for code; {environment.INSTALL}",
            detail=str(settings.environment),
        )
    try:
        await asyncio.to_thread(settings.root.mkdir, mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFault(
            f"the folder for sessions cannot be made: {error.strerror}",
            detail=str(error),
            passing=True,
        ) from error
    report = await survey(settings, found)
    if report.sandbox is None:
        if settings.allow_unsandboxed:
            _LOG.critical("code_interpreter: %s", report.text)
            return Unsandboxed(found, settings.limits)
        raise SandboxUnavailable(report.text)
    if report.problem:
        _LOG.warning("code_interpreter: %s", report.text)
    return report.sandbox


async def survey(settings: Settings, found: Environment, *, every: bool = False) -> Report:
    """Try the tiers, and a kernel in the one to be used.

    Args:
        settings: what is allowed, and where sessions lie.
        found: the interpreter.
        every: try all tiers, to tell about them.
    """
    report = await probe.survey(
        found,
        settings.limits,
        bubblewrap=settings.bubblewrap,
        root=settings.root,
        lowest=settings.lowest_tier,
        every=every,
    )
    if report.sandbox is None:
        return report
    tier = report.sandbox.tier
    attempts = [
        await _with_kernel(each, report.sandbox, settings.root) if each.tier == tier else each
        for each in report.attempts
    ]
    held = all(each.passed for each in attempts if each.tier == tier)
    return replace(report, attempts=tuple(attempts), sandbox=report.sandbox if held else None)


async def _with_kernel(attempt: Attempt, runner: Runner, root: Path) -> Attempt:
    """The same attempt, with what a kernel in the sandbox could do."""
    try:
        found = await in_a_kernel(runner, root)
    except AssistantsError as error:
        return replace(attempt, reason=f"no kernel starts in it: {error.message}", mend=REPORT)
    broken = ", ".join(each.name for each in found if not each.passed)
    reason = f"a kernel inside could {broken}" if broken else ""
    checks = attempt.checks + tuple(replace(each, name=f"{each.name} (kernel)") for each in found)
    return replace(attempt, reason=reason, mend=REPORT if broken else "", checks=checks)


async def in_a_kernel(runner: Runner, root: Path | None = None) -> tuple[Check, ...]:
    """The checks of the self-test, made by code in a kernel.

    Raises:
        ToolFault: the kernel does not start, or does not come to the end.
    """
    from .kernels.provisioner import Place

    with probe.folder(root) as folder, tempfile.TemporaryDirectory(prefix="k-") as sockets:
        data = folder / "data"
        await asyncio.to_thread(runner.prepare, data)
        kernel = Kernel(Place(runner, data, Path(sockets) / "0"))
        try:
            with Bait(folder, data, runner) as bait:
                return bait.checks(await _said(kernel, bait))
        finally:
            await kernel.close()
            await runner.release(data)


async def _said(kernel: Kernel, bait: Bait) -> dict[str, object]:
    # In hexadecimal, so that nothing on the way takes a path in it for one to be changed.
    told = json.dumps(bait.told(())).encode().hex()
    code = (
        "import json\nnames = {'__name__': 'probe'}\n"
        f"exec(bytes.fromhex('{probe.program().hex()}'), names)\n"
        f"names['main'](json.loads(bytes.fromhex('{told}')))"
    )
    text = ""
    async for output in kernel.execute(code):
        if isinstance(output, Text) and output.kind == "stdout":
            text += output.text
        elif isinstance(output, Failure | Lost):
            raise SandboxUnavailable(f"its kernel did not answer the self-test: {output}")
    answer: dict[str, object] = json.loads(text)
    return answer
