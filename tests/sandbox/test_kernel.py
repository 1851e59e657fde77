"""The kernel as a notebook: state, outputs, death and replacement."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

from local_assistants.tools.code_interpreter.isolation import processes
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel
from local_assistants.tools.code_interpreter.kernels.provisioner import Place

from .room import say


async def test_state_lives_on_between_calls(kernel: Kernel) -> None:
    """Variables and imports of one call are there in the next."""
    await say(kernel, "import math\nradius = 2")
    assert "12.57\n" == (await say(kernel, "print(round(math.pi * radius**2, 2))")).text


async def test_the_value_of_the_last_expression_is_output(kernel: Kernel) -> None:
    """Models often forget to print."""
    assert "[1, 4, 9]\n" == (await say(kernel, "[n * n for n in (1, 2, 3)]")).text


async def test_streams_arrive_while_the_code_runs(kernel: Kernel) -> None:
    """The first line is there long before the call ends."""
    await say(kernel, "1")
    started = time.monotonic()
    code = "import time\nprint('first')\ntime.sleep(2)\nprint('second')"
    heard_at = [time.monotonic() - started async for _ in kernel.execute(code)]
    assert heard_at[0] < 1.5 < heard_at[-1]


async def test_an_exception_leaves_the_kernel_alive(kernel: Kernel) -> None:
    """A traceback is output; the next call runs."""
    heard = await say(kernel, "kept = 1\n1 / 0")
    assert "ZeroDivisionError" == heard.error
    assert heard.failure is not None
    assert "line 2" in heard.failure.traceback
    assert "1\n" == (await say(kernel, "kept")).text


async def test_a_plot_is_a_png(kernel: Kernel) -> None:
    """plt.show() gives a picture without any set-up, and no font cache is built."""
    heard = await say(kernel, "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()")
    assert 1 == len(heard.pictures)
    assert heard.pictures[0].data.startswith(b"\x89PNG\r\n\x1a\n")
    assert "" == heard.notes


async def test_a_kernel_that_kills_itself_is_replaced(kernel: Kernel) -> None:
    """Its end is noticed at once, the output says so, and the next call has a new kernel."""
    await say(kernel, "kept = 1")
    started = time.monotonic()
    heard = await say(kernel, "import os; os._exit(3)")
    assert time.monotonic() - started < 5
    assert heard.lost is not None
    assert "its process ended: exit code 3" == heard.lost.reason
    assert "NameError" == (await say(kernel, "kept")).error


async def test_last_words_of_a_dying_kernel_are_heard(kernel: Kernel) -> None:
    """What it printed before it ended is not lost with it."""
    code = (
        "import os, sys, time\nprint('farewell'); sys.stdout.flush(); time.sleep(0.3); os._exit(0)"
    )
    heard = await say(kernel, code)
    assert "farewell\n" == heard.text
    assert heard.lost is not None


async def test_a_kernel_that_dies_between_calls_is_told_with_the_next(kernel: Kernel) -> None:
    """A thread left behind ends the process after the reply."""
    code = "import os, threading\nthreading.Timer(0.2, lambda: os._exit(5)).start()"
    assert (await say(kernel, code)).lost is None
    await asyncio.sleep(1.0)
    heard = await say(kernel, "print('here')")
    assert heard.lost is not None
    assert "between two calls" in heard.lost.reason
    assert "here\n" == heard.text


async def test_an_abandoned_call_is_interrupted(kernel: Kernel) -> None:
    """Closing the stream stops the code, and the session stays usable with its variables."""
    await say(kernel, "kept = 5")
    stream = kernel.execute("import time\nprint('started')\ntime.sleep(100)")
    async with contextlib.aclosing(stream):
        async for _ in stream:
            break
    started = time.monotonic()
    assert "5\n" == (await say(kernel, "kept")).text
    assert time.monotonic() - started < 10


async def test_a_cancelled_caller_leaves_a_usable_kernel(kernel: Kernel) -> None:
    """As when a run is cancelled: the code is interrupted and variables stay."""
    await say(kernel, "kept = 5")
    running = asyncio.create_task(say(kernel, "while True: pass"))
    await asyncio.sleep(0.5)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert "5\n" == (await say(kernel, "kept")).text


async def test_a_caller_cancelled_during_the_start_leaks_no_process(kernel: Kernel) -> None:
    """Whenever it happens, only the next call's kernel is there afterwards."""
    before = set(processes.children(os.getpid()))
    for pause in (0.0, 0.002, 0.01, 0.03, 0.1):
        starting = asyncio.create_task(say(kernel, "1"))
        await asyncio.sleep(pause)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
    assert "2\n" == (await say(kernel, "1 + 1")).text
    assert 1 == len(set(processes.children(os.getpid())) - before)


async def test_exit_does_not_end_the_session(kernel: Kernel) -> None:
    """Models close their programs with exit(); variables are kept all the same."""
    await say(kernel, "kept = 5\nexit()")
    await asyncio.sleep(0.3)
    heard = await say(kernel, "kept")
    assert heard.lost is None
    assert "5\n" == heard.text


async def test_input_is_refused_at_once(kernel: Kernel) -> None:
    """There is nobody to answer input()."""
    assert "StdinNotImplementedError" == (await say(kernel, "input('name? ')")).error


async def test_forged_messages_do_not_end_a_call(kernel: Kernel) -> None:
    """Code that sends a reply for another request, and garbage, is heard to the end all the same."""
    code = (
        "import time\nfrom ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "fake = app.session.msg('status', {'execution_state': 'idle'}, parent={'msg_id': 'other'})\n"
        "app.session.send(app.iopub_socket, fake)\n"
        "app.iopub_thread.send_multipart([b'garbage', b'<IDS|MSG>', b'bad'])\n"
        "time.sleep(0.5)\nprint('the end')"
    )
    heard = await say(kernel, code)
    assert heard.failure is None
    assert "the end\n" == heard.text


async def test_the_event_loop_is_not_blocked_by_a_start(kernel: Kernel) -> None:
    """While a kernel starts and runs, other work on the loop goes on."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            started = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - started)

    ticking = asyncio.create_task(tick())
    await say(kernel, "sum(range(10))")
    ticking.cancel()
    assert longest < 0.5


async def test_a_kernel_works_where_proc_cannot_be_mounted(
    isolation: Sandbox, data: Path, sockets: Path
) -> None:
    """Tier A', as in a container with masked paths: state, pandas, a child process and an interrupt."""
    masked = Sandbox(isolation.environment, Limits(), bubblewrap=isolation.bubblewrap, proc=False)
    kernel = Kernel(Place(masked, data, sockets / "masked"))
    code = (
        "import os, subprocess, pandas\n"
        "print(os.path.exists('/proc/self'), subprocess.run(['true']).returncode)"
    )
    try:
        assert "False 0\n" == (await say(kernel, code)).text
        assert "KeyboardInterrupt" == (await say(kernel, "while True: pass", seconds=0.5)).error
        assert "2.0\n" == (await say(kernel, "print(pandas.Series([1, 3]).mean())")).text
    finally:
        await kernel.close()
