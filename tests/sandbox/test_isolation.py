"""What holds of a sandbox as the engine makes it. How it stands attacks, tier by tier: tests/sandbox/tiers."""

import os
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.isolation import probe
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel

from .room import say


async def test_every_check_of_the_self_test_holds(sandbox: Sandbox) -> None:
    """The boot self-test passes as a whole."""
    outcome = await probe.checks(sandbox)
    assert [] == [check.name for check in outcome if not check.passed]
    assert len(outcome) >= 12


async def test_secrets_of_the_engine_are_not_in_any_environment(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    """Neither the kernel's nor its parent's environment carries a variable of the engine's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    code = (
        "import os, glob\n"
        "texts = [repr(dict(os.environ))]\n"
        "for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: texts.append(open(path).read())\n"
        "    except OSError: pass\n"
        "print(len(texts) > 3, any('very-secret' in text for text in texts))"
    )
    assert "True False\n" == (await say(kernel, code)).text


async def test_a_root_engine_does_not_lend_its_uid(kernel: Kernel, data: Path) -> None:
    """What code writes belongs to an ordinary user of the host, never to root."""
    await say(kernel, "open('mine.txt', 'w').write('x')")
    assert 0 != (data / "mine.txt").stat().st_uid


async def test_no_file_of_the_engine_is_inherited(kernel: Kernel, tmp_path: Path) -> None:
    """A descriptor that the engine left inheritable does not slip in."""
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        code = (
            "import os\n"
            "paths = [f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')]\n"
            "ends = [os.readlink(path) for path in paths if os.path.islink(path)]\n"  # not that of the listing itself
            "print([end for end in ends if end.endswith('secret')])"
        )
        assert "[]\n" == (await say(kernel, code)).text
