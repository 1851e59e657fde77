"""A gigabyte of output costs the engine next to nothing, however it is written.

The engine is a process of its own, so that its memory is nobody else's.
"""

import json
import os
import subprocess
import sys

import pytest

from local_assistants.tools.code_interpreter.environment import Environment

_MOST = 20  # MB
_ENGINE = """
import asyncio, json, sys, tempfile
from pathlib import Path
from local_assistants.engine.chat import ToolCall
from local_assistants.engine.clock import SystemClock
from local_assistants.engine.ports import ToolSession
from local_assistants.tools.code_interpreter.settings import Settings
from local_assistants.tools.code_interpreter.tool import CodeInterpreter

def mebibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024

async def main(interpreter, code):
    heard = []
    async def emit(output):
        heard.append(len(output.logs))
    async def run(code):
        call = ToolCall(id="1", name="code_interpreter", arguments=json.dumps({"code": code}))
        return await tool.run(call, session, emit)
    with tempfile.TemporaryDirectory() as root:
        tool = CodeInterpreter(Settings(Path(interpreter), Path(root)), SystemClock())
        session = ToolSession(thread_id="thread_1", run_id="run_1", files=(), output_tokens=2000, save_file=None)
        await run("print(1)")
        heard.clear()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        before = mebibytes("VmRSS")
        result = await run(code)
        print(json.dumps([mebibytes("VmHWM") - before, sum(heard), result.output]))
        await tool.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "code",
    [
        "print('x' * (1 << 30))",
        "for _ in range(1 << 10): print('x' * (1 << 20))",
        "import os\nfor _ in range(1 << 10): os.write(1, b'x' * (1 << 20))",
        "import subprocess\nsubprocess.run(['head', '-c', str(1 << 30), '/dev/zero'])",
    ],
    ids=["one print", "many prints", "raw descriptor", "child"],
)
def test_a_gigabyte_of_output(environment: Environment, code: str) -> None:
    """The engine's memory hardly grows, the stored log ends at its limit with a word on it, and the model is told."""
    engine = subprocess.run(
        [sys.executable, "-c", _ENGINE, str(environment.prefix), code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=True,
    )
    grown, stored, model_reads = json.loads(engine.stdout)
    assert grown < _MOST
    assert 100_000 < stored < 101_000
    assert "[output ends here: more than 100000 characters]" in model_reads
