"""What a call prints or displays beyond what is kept of it never leaves the kernel; all else of the call does."""

import pytest

from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel

from .room import say

_MOST = 1000
_NOTE = 100  # characters that a word on it may take
_ENDLESS = 30_000  # far more messages than a kernel keeps for a host that does not read

_PRINT = f"for _ in range({_ENDLESS}): print('x' * 9, flush=True)"
_CHILD = f"import subprocess\ndone = subprocess.run(['head', '-c', '{_ENDLESS}', '/dev/zero'])"
_DISPLAY = f"for _ in range({_ENDLESS}): display('x' * 7)"


@pytest.fixture
def limits() -> Limits:
    """Small enough to be reached quickly."""
    return Limits(log_chars=_MOST, images=2)


@pytest.mark.parametrize("code", [_PRINT, _CHILD, _DISPLAY], ids=["prints", "a child", "displays"])
async def test_a_flood_ends_where_the_log_does(kernel: Kernel, code: str) -> None:
    """The host hears as much as it keeps, and each call has that much anew."""
    for _ in range(2):
        heard = await say(kernel, code)
        assert _MOST <= len(heard.text) <= _MOST + _NOTE
    assert "all of it\n" == (await say(kernel, "print('all of it')")).text


async def test_what_reaches_the_descriptor_is_part_of_the_call(kernel: Kernel) -> None:
    """Children write there. However late the thread comes that reads it: here it waits for its turn all the time."""
    await say(kernel, "import os, sys\nsys.setswitchinterval(60)")
    for _ in range(10):
        assert "late\n" == (await say(kernel, "_ = os.write(1, b'late\\n')")).text


async def test_one_picture_more_than_are_kept_is_sent(kernel: Kernel) -> None:
    """So that the host can tell of it; text is not held up by pictures."""
    code = "for _ in range(50): display({'image/png': 'AAAA'}, raw=True)\ndisplay('text')"
    heard = await say(kernel, code)
    assert 3 == len(heard.pictures)
    assert "'text'\n" == heard.text


@pytest.mark.parametrize("code", [_PRINT, _DISPLAY], ids=["prints", "displays"])
async def test_an_exception_after_a_flood_is_told(kernel: Kernel, code: str) -> None:
    """It would be lost where the flood had filled the kernel's queue."""
    assert "ZeroDivisionError" == (await say(kernel, f"{code}\n1 / 0")).error


async def test_what_was_printed_comes_before_what_was_displayed(kernel: Kernel) -> None:
    """Whether a flush had anything to wait for or not."""
    code = "for n in range(200):\n    print(n)\n    display(n)"
    assert [str(n // 2) for n in range(400)] == (await say(kernel, code)).text.splitlines()
