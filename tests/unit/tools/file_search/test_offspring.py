"""A parser that a file has taken over: what it can do to processes, and that its supervisor ends all of it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_assistants.tools.file_search.parsing import offspring
from local_assistants.tools.file_search.parsing.supervisor import Parser
from tests.unit.tools.file_search.test_parser import children, stored

# Stands where the child imports its HTML parser from; its text is the list of what it could do.
TAKEN_OVER = """
import os, signal, _thread
def tried(name, call, *arguments):
    try:
        result = call(*arguments)
    except (OSError, RuntimeError) as error:
        return name + ":" + type(error).__name__
    if name == "fork" and result == 0:
        os._exit(0)
    return name + ":done"
def attempts():
    yield tried("setsid", os.setsid)
    yield tried("setpgid", os.setpgid, 0, 0)
    yield tried("fork", os.fork)
    yield tried("posix_spawn", os.posix_spawn, "/bin/true", ["true"], {})
    yield tried("thread", _thread.start_new_thread, print, ())
    yield tried("execv", os.execv, "/proc/self/exe", ["python", "-c", "pass"])
    yield tried("kill", os.kill, os.getppid(), signal.SIGCONT)
class Node:
    is_text_node, is_element_node, next, parent, child, mem_id = True, False, None, None, None, 1
    def __init__(self): self.text_content = " ".join(attempts())
class LexborHTMLParser:
    def __init__(self, text): self.head, self.body = None, Node()
"""

# One that breaks out: an orphan in a session of its own, which starts another one.
ESCAPED = """
import ctypes, os, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.fork()
        os.write(1, f"{os.getpid()}\\n".encode())
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


async def test_a_taken_over_parser_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From inside a real child: no session or group of its own, no process, thread, program or signal; root or not."""
    package = tmp_path / "site-packages" / "selectolax"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "lexbor.py").write_text(TAKEN_OVER)
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
    parser = Parser(children=1)

    document = await parser.parse(stored(tmp_path, b"text"), "a.html")
    before = children()
    assert document.text.split() == [
        "setsid:PermissionError",
        "setpgid:PermissionError",
        "fork:PermissionError",
        "posix_spawn:PermissionError",
        "thread:RuntimeError",
        "execv:PermissionError",
        "kill:PermissionError",
    ]
    assert (await parser.parse(stored(tmp_path, b"text"), "a.txt")).text == "text"
    assert children() == before
    await parser.close()


def running(process: int) -> bool:
    """Whether a process has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_those_that_broke_out_are_ended_too() -> None:
    """Without the filter: sessions of their own and a parent that is gone do not save them."""
    command = [sys.executable, "-c", ESCAPED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout
        escaped = [int(child.stdout.readline()) for _ in range(2)]
        sessions = {os.getsid(each) for each in (child.pid, *escaped)}
        offspring.end(child.pid)

    assert len(sessions) == 2
    assert child.returncode == -signal.SIGKILL
    end = time.monotonic() + 10
    while any(running(each) for each in escaped) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(running(each) for each in escaped)
    child.stdout.close()
