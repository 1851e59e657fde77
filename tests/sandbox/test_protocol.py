"""Code speaks to the engine as it likes: it has the kernel's key, its sockets, and the wire itself."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel
from local_assistants.tools.code_interpreter.kernels.outputs import Picture, Text

from .room import say

_TICK = 0.005
_LONGEST = (
    0.15  # seconds of processor time that a kernel may hold the event loop: half of 8 MB's parsing
)
_FLOOD = 8000  # messages, fewer than the kernel keeps for a host that does not read (`_WAITING` in launch.py)
_PRINTS = 12_000  # more than that

_SPEAK = """
import time
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance()
session, thread = app.session, app.iopub_thread
def frames(kind, content):
    parent = get_ipython().kernel.get_parent()["header"]
    parts = [session.pack(session.msg_header(kind)), session.pack(parent), b"{}", content]
    return [b"topic", b"<IDS|MSG>", session.sign(parts), *parts]
def speak(kind, content):
    thread.send_multipart(frames(kind, content))
"""
_WIRE = """
import os, socket
def wires():
    for number in range(3, 256):
        try:
            wire = socket.socket(fileno=os.dup(number))
            wire.getpeername()
        except OSError:
            continue
        if wire.family == socket.AF_UNIX:
            wire.setblocking(True)
            yield wire
"""


class Strain:
    """What a kernel costs the engine while it is watched: event loop and memory."""

    def __init__(self) -> None:
        self._memory = _resident()
        self._most = self._memory
        self.longest = 0.0
        """Seconds of processor time between two chances for others to run."""

    @property
    def grown(self) -> int:
        """Bytes that the engine had more at its worst moment."""
        return self._most - self._memory

    async def watch(self) -> None:
        """Go on until cancelled."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(_TICK)
            self.longest = max(self.longest, time.thread_time() - before)
            self._most = max(self._most, _resident())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def limits() -> Limits:
    """Patience is short here."""
    return Limits(grace_seconds=0.5)


@pytest.fixture
async def strain(kernel: Kernel) -> AsyncIterator[Strain]:
    """Watches from now on; the kernel is up.

    Python's collector waits meanwhile: a look at all that the tests before this one left takes longer than a turn.
    """
    await say(kernel, "1")
    gc.disable()
    strain = Strain()
    watching = asyncio.create_task(strain.watch())
    yield strain
    watching.cancel()
    gc.enable()


class Turns:
    """Counts the turns that others get while somebody else is at work."""

    def __init__(self) -> None:
        self.count = 0

    async def take(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(0)
            self.count += 1


async def test_a_message_of_many_frames_is_not_kept(kernel: Kernel, strain: Strain) -> None:
    """50 frames of 8 MB each are one message; code needs the memory of one frame to send it."""
    code = (
        "part = bytes(8_000_000)\n"
        "thread.schedule(lambda: thread.socket.send_multipart([part] * 50, copy=False))\n"
        "time.sleep(1)\nprint('the end')"
    )
    heard = await say(kernel, _SPEAK + code)
    assert "the end\n" == heard.text
    assert strain.grown < 40 * MIB


async def test_json_that_takes_long_to_read_is_left_out(kernel: Kernel, strain: Strain) -> None:
    """Eight megabytes of empty lists are 300 ms of parsing in one go."""
    code = "speak('stream', b'[' + b'[],' * 2_500_000 + b'1]')\nprint('the end')"
    heard = await say(kernel, _SPEAK + code)
    assert "the end\n" == heard.text
    assert "too large" in heard.notes
    assert strain.longest < _LONGEST


async def test_the_largest_picture_does_not_hold_the_loop(kernel: Kernel, strain: Strain) -> None:
    """It is read while others get their turns."""
    code = "from IPython.display import display\ndisplay({'image/png': 'A' * 8_000_000}, raw=True)"
    heard = await say(kernel, code)
    assert [Picture(bytes(6_000_000))] == heard.pictures
    assert strain.longest < _LONGEST


async def test_a_flood_of_messages_does_not_hold_the_loop(kernel: Kernel, strain: Strain) -> None:
    """Thousands that wait to be read come in small pieces, and others get a turn between any two of them."""
    code = (
        'flood = frames(\'stream\', b\'{"name": "stdout", "text": "x"}\')\n'
        f"for _ in range({_FLOOD}): thread.send_multipart(flood)"
    )
    turns = Turns()
    taking = asyncio.create_task(turns.take())
    pieces: list[int] = []
    taken: list[int] = []
    async for output in kernel.execute(_SPEAK + code):
        assert isinstance(output, Text)
        pieces.append(len(output.text))
        taken.append(turns.count)
        if len(pieces) == 1:
            await asyncio.sleep(1)  # let the flood rise
    taking.cancel()
    assert _FLOOD == sum(pieces)
    assert max(pieces) < _FLOOD // 4
    assert len(set(taken)) == len(pieces)
    assert strain.grown < 40 * MIB


async def test_output_waits_for_a_slow_reader(kernel: Kernel) -> None:
    """More prints than the kernel keeps for the host: none of them is lost, nor the word that the call is over."""
    outputs = kernel.execute(f"for n in range({_PRINTS}): print(n, flush=True)")
    first = await anext(outputs)
    await asyncio.sleep(3)
    rest = [output async for output in outputs]
    said = "".join(output.text for output in (first, *rest) if isinstance(output, Text))
    assert [str(n) for n in range(_PRINTS)] == said.splitlines()


async def test_a_kernel_is_replaced_beside_the_loop(kernel: Kernel, strain: Strain) -> None:
    """Its processes are ended and a new one is started while others get their turns."""
    code = "import os, time\nfor _ in range(40): os.fork() or time.sleep(60)\nos._exit(3)"
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "2\n" == (await say(kernel, "1 + 1")).text
    assert strain.longest < _LONGEST


async def test_small_prints_are_told_together(kernel: Kernel) -> None:
    """What has come by the time that somebody looks is one output."""
    code = 'for n in range(2000): speak(\'stream\', b\'{"name": "stdout", "text": "x"}\')'
    pieces = [one async for one in kernel.execute(_SPEAK + code) if isinstance(one, Text)]
    assert 2000 == sum(len(piece.text) for piece in pieces)
    assert len(pieces) < 1000


async def test_bytes_that_are_no_protocol_cost_their_kernel(kernel: Kernel) -> None:
    """Code that writes to the sockets itself loses its interpreter, and the next call has a new one."""
    await say(kernel, "kept = 1")
    code = "for wire in wires(): wire.sendall(b'no protocol')\nimport time; time.sleep(60)"
    heard = await say(kernel, _WIRE + code)
    assert heard.lost is not None
    assert "it closed its connection" == heard.lost.reason
    assert "NameError" == (await say(kernel, "kept")).error


async def test_a_frame_without_an_end_is_not_kept(kernel: Kernel, strain: Strain) -> None:
    """It is announced with four exabytes and sent as fast as it goes, until time is up."""
    code = (
        "ends = list(wires())\n"
        "for wire in ends: wire.sendall(b'\\x02' + (1 << 62).to_bytes(8, 'big'))\n"
        "while True:\n"
        "    for wire in ends: wire.sendall(bytes(65536))"
    )
    heard = await say(kernel, _WIRE + code, seconds=1.0)
    assert heard.lost is not None
    assert strain.longest < _LONGEST
    assert strain.grown < 40 * MIB
    assert "2\n" == (await say(kernel, "1 + 1")).text


async def test_frames_without_an_end_are_not_kept(kernel: Kernel, strain: Strain) -> None:
    """The smallest there are, each announcing another."""
    code = "while True:\n    for wire in list(wires()): wire.sendall(b'\\x01\\x00' * 30000)"
    heard = await say(kernel, _WIRE + code, seconds=1.0)
    assert heard.lost is not None
    assert strain.longest < _LONGEST
    assert strain.grown < 40 * MIB


async def test_half_a_character_is_no_text(kernel: Kernel) -> None:
    """JSON can name halves of characters; a database cannot store them."""
    code = r"""speak('stream', b'{"name": "stdout", "text": "a\\ud800b"}')"""
    assert "a?b" == (await say(kernel, _SPEAK + code)).text


async def test_a_kernel_that_hangs_up_is_replaced_at_once(kernel: Kernel) -> None:
    """Without its sockets it could not say a word; nobody waits for the time limit."""
    started = time.monotonic()
    heard = await say(kernel, "import os, time\nos.closerange(3, 256)\ntime.sleep(60)")
    assert heard.lost is not None
    assert time.monotonic() - started < 10


async def test_a_request_larger_than_the_sockets_buffer_is_sent(kernel: Kernel) -> None:
    """Three megabytes of code, to a kernel that is not up yet."""
    code = f"text = '{'x' * 3_000_000}'\nlen(text)"
    assert "3000000\n" == (await say(kernel, code)).text


async def test_whoever_waits_learns_that_the_kernel_was_closed(kernel: Kernel) -> None:
    """Closing in the middle of a call ends that call, and no new interpreter is started for it."""
    await say(kernel, "1")
    waiting = asyncio.create_task(say(kernel, "import time\ntime.sleep(60)"))
    await asyncio.sleep(0.5)
    await kernel.close()
    heard = await asyncio.wait_for(waiting, 10)
    assert heard.lost is not None
    assert "it was closed" == heard.lost.reason
    assert not kernel.alive
