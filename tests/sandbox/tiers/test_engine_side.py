"""What an engine itself does with folders, names and messages that code made to trick it."""

import time
from pathlib import Path

import pytest

from .rows import WORKED_OFTEN, Engine
from .victims import SECRET

OFTEN = WORKED_OFTEN

_RACE = """
import itertools, subprocess, sys
swap = '''
import os, shutil
os.makedirs("plain", exist_ok=True); open("plain/file.txt", "w").write("fine")
while True:
    for make in (lambda: open("x", "w").write("fine"), lambda: os.symlink({victim!r}, "x"),
                 lambda: os.link("plain/file.txt", "x"), lambda: os.mkfifo("x")):
        try: make(); os.replace("x", "race.txt")
        except OSError: pass
    for target in ("plain", {folder!r}):
        try: os.symlink(target, "y"); os.replace("y", "race")
        except OSError: pass
    try: os.unlink("race"); os.rename("plain", "race"); os.rename("race", "plain")
    except OSError: pass
'''
subprocess.Popen([sys.executable, "-c", swap])
"""
_PLANTED = """
import os, socket
open('fine.txt', 'w').write('fine')
def plant(attempt):
    try: attempt()
    except OSError: pass
plant(lambda: os.symlink({victim!r}, 'symlink.txt'))
plant(lambda: os.symlink({folder!r}, 'symlink'))
plant(lambda: os.symlink('/proc/self/environ', 'environ.txt'))
plant(lambda: os.link({victim!r}, 'hard.txt'))
plant(lambda: os.link('fine.txt', 'twice.txt'))
plant(lambda: os.mkfifo('fifo.txt'))
plant(lambda: socket.socket(socket.AF_UNIX).bind('socket.txt'))
os.unlink('twice.txt') if os.path.exists('twice.txt') else None
"""


def test_only_plain_files_are_collected(engine: Engine) -> None:
    """Links lead to the engine's own files, a FIFO blocks its reader."""
    facts = engine.facts
    for victim in (facts["secret"], facts["file"]):
        code = _PLANTED.format(victim=victim, folder=facts["folder"])
        saved = engine.call(code, thread=f"planted-{Path(victim).stem}")["saved"]
        assert {"fine.txt": "fine"} == saved


def test_a_file_that_has_two_names_is_not_collected(engine: Engine) -> None:
    """The other name may be one that the engine alone should read."""
    code = "import os; open('one.tmp', 'w').write('x'); os.link('one.tmp', 'two.txt')"
    assert {} == engine.call(code, thread="two names")["saved"]


def test_nothing_can_be_swapped_under_the_collector(engine: Engine) -> None:
    """A process that keeps exchanging files and folders for links never has a link's target collected."""
    facts = engine.facts
    engine.call(_RACE.format(victim=facts["secret"], folder=facts["folder"]), thread="race")
    for _ in range(15):
        saved = engine.call("1", thread="race")["saved"]
        assert SECRET not in "".join(saved.values())
    engine.call("import os, signal; os.kill(-1, signal.SIGKILL)", thread="race")


def test_odd_names_come_out_as_plain_ones(engine: Engine) -> None:
    """One component, visible characters: what cannot be said so is left out."""
    names = [
        b"line\nbreak.txt", b"turned-\xe2\x80\xae-txt.exe", b"not-text-\xff.txt", b"\x1b[31mred.txt",
        b"a" * 255, b"-rf", b"COM1", b"trailing. ", b"back\\slash.txt", b"qu\"ote.txt", "ü.txt".encode(),
    ]  # fmt: skip
    code = (
        f"import os\nfor name in {names!r}:\n    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))"
    )
    saved = engine.call(code, thread="names")["saved"]
    assert {"-rf", "COM1", "ü.txt"} <= set(saved)
    for name in saved:
        assert name.isprintable()
        assert "/" not in name
        assert len(name.encode()) <= 255
    assert not any(sign in name for name in saved for sign in ("line", "turned", "not-text", "red"))


def test_a_file_with_a_hole_does_not_fill_the_engines_disk(engine: Engine) -> None:
    """It takes nothing inside and all its length outside."""
    code = "open('huge.bin', 'wb').truncate(900 << 20)"
    result = engine.call(code, thread="hole")
    assert {} == result["saved"]
    assert "huge.bin" in result["output"]


def test_a_held_file_does_not_hold_up_the_engine(engine: Engine) -> None:
    """A lease makes those who open the file wait for up to 45 seconds."""
    code = (
        "import fcntl, os\n"
        "held = os.open('held.txt', os.O_RDWR | os.O_CREAT)\n"
        "try: fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
        "except OSError: pass\n"
        "fcntl.flock(held, fcntl.LOCK_EX)"
    )
    engine.call("1", thread="lease")
    started = time.monotonic()
    engine.call(code, thread="lease")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("mode", ["0o000", "0o200"])
def test_a_session_is_not_locked_out_of_its_own_folder(engine: Engine, mode: str) -> None:
    """Code that takes the rights from /mnt/data does not end the thread: files go in, sessions start."""
    thread = f"locked {mode}"
    engine.call(
        f"import os\nos.mkdir('sub'); os.chmod('sub', {mode}); os.chmod('.', {mode})", thread
    )
    engine.ask("attach", name="late.txt", text="it came", thread=thread)
    attached = "import os\nos.chmod('/mnt/data', 0o700)\nprint(open('/mnt/data/late.txt').read())"
    assert "it came" in engine.call(attached, thread)["output"]
    engine.call(f"import os; os.chmod('.', {mode})", thread)
    engine.ask("rest")
    assert "it came" in engine.call(attached, thread)["output"]


def test_an_input_is_not_written_through_a_planted_link(engine: Engine) -> None:
    """A link that waits under the input's name is stepped around."""
    facts = engine.facts
    plant = f"import os\nos.symlink({facts['file']!r}, 'table.csv')"
    engine.call(plant, thread="planted link")
    engine.ask("attach", name="table.csv", text="n\n1\n", thread="planted link")
    result = engine.call("print(open('table_2.csv').read())", thread="planted link")
    assert "n\n1" in result["output"]
    assert SECRET == Path(facts["file"]).read_text()


def test_a_tree_of_any_depth_goes_on_to_the_next_session(engine: Engine) -> None:
    """Walks that recurse or hold a descriptor a level end at a thousand."""
    deep = "import os\nfor _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\nopen('end', 'w').close()"
    engine.call(deep, thread="deep")
    engine.ask("rest")
    assert "['d']" in engine.call("import os; print(os.listdir('/mnt/data'))", "deep")["output"]


def test_sockets_of_a_kernel_cannot_be_exchanged(engine: Engine) -> None:
    """Their paths are known here; a decoy in their place would be asked to speak for the kernel."""
    before = _sockets()
    engine.call("1", thread="sockets")
    made = sorted(_sockets() - before)
    assert made
    for path in made[:2]:
        assert not engine.tries(f"os.unlink({path!r})").startswith("done")
        assert not engine.tries(f"os.rename({path!r}, {path + 'x'!r})").startswith("done")
        seen = engine.tries(f"socket.socket(socket.AF_UNIX).connect({path!r})", "import socket")
        assert not seen.startswith("done")


@pytest.mark.parametrize(
    "forged",
    [
        "message['content'] = {'text': chr(0xd800) + chr(0) + 'odd', 'name': 'stdout'}",
        "message['content'] = {'text': ['no', 'text'], 'name': {}}",
        "message['content'] = {'data': {'image/png': '!!!'}}; message['msg_type'] = 'display_data'",
        "message['content'] = {'data': {'image/png': 7, 'text/plain': None}}; message['msg_type'] = 'display_data'",
        "message['content'] = {'ename': [], 'evalue': {}, 'traceback': [None, 1]}; message['msg_type'] = 'error'",
        "message['content'] = eval('[' * 80 + ']' * 80)",
        "message['msg_type'] = ['unhashable']",
        "message['parent_header'] = 'no mapping'",
        "message['header']['date'] = 'never'",
    ],
)  # fmt: skip
def test_forged_messages_cost_their_sender_only(engine: Engine, forged: str) -> None:
    """Code has the key and may sign what it likes: the call ends, its own output is heard, the next one runs."""
    code = (
        "import json, time\nfrom ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "parent = app.kernel.get_parent()\n"
        "message = app.session.msg('stream', {'text': 'forged', 'name': 'stdout'}, parent=parent)\n"
        f"{forged}\n"
        "pack = lambda value: json.dumps(value, default=str).encode()\n"
        "parts = [pack(message[part]) for part in ('header', 'parent_header', 'metadata', 'content')]\n"
        "message['header']['msg_type'] = message['msg_type']\n"
        "frames = [b'stream', b'<IDS|MSG>', app.session.sign(parts), *parts]\n"
        "app.iopub_thread.send_multipart(frames)\n"
        "time.sleep(0.2)\nprint('the end')"
    )
    result = engine.call(code, thread="forged")
    assert "the end" in result["logs"]
    result["logs"].encode()
    assert "4" in engine.call("print(2 + 2)", thread="forged")["output"]


def test_a_forged_reply_does_not_end_the_time_limit(engine: Engine) -> None:
    """Code that says it is done and works on is interrupted with the next call at the latest."""
    code = (
        "import time\nfrom ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "parent = app.kernel.get_parent()\n"
        "stream = app.kernel.shell_stream\n"
        "app.session.send(app.iopub_socket, 'status', {'execution_state': 'idle'}, parent=parent)\n"
        "app.session.send(stream, 'execute_reply', {'status': 'ok', 'execution_count': 1}, parent=parent,\n"
        "                 ident=app.kernel._parent_ident['shell'])\n"
        "stream.flush()\n"
        "while True: time.sleep(0.1)"
    )
    limits = {"wall_seconds": 2.0, "grace_seconds": 1.0}
    engine.call(code, thread="forged reply", **limits)
    for _ in range(3):
        if "4" in engine.call("print(2 + 2)", thread="forged reply", **limits)["output"]:
            return
    raise AssertionError("the thread has no working interpreter any more")


@pytest.mark.parametrize(
    "end",
    [
        "os._exit(3)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "ctypes.string_at(0)",
        "os.execv('/bin/true', ['true'])",
        "os.closerange(0, 4096)",
        "(signal.signal(signal.SIGINT, signal.SIG_IGN), [None for _ in iter(int, 1)])",
    ],
)
def test_a_kernel_that_its_own_code_ends_is_replaced(engine: Engine, end: str) -> None:
    """However it goes, the next call has an interpreter, and the model is told what was lost."""
    limits = {"wall_seconds": 2.0, "grace_seconds": 1.0}
    engine.call("kept = 1", thread="ended", **limits)
    said = engine.call(f"import ctypes, os, signal\n{end}", thread="ended", **limits)["output"]
    said += engine.call("print(2 + 2)\nkept", thread="ended", **limits)["output"]
    assert "Variables and imports are gone" in said
    assert "4" in said
    assert "NameError" in said


def _sockets() -> set[str]:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return {line.split()[-1] for line in lines if "kernels-" in line}
