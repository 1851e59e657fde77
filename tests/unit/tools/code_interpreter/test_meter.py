"""What a sandbox uses, measured on folders and processes of the test's own."""

import subprocess
import sys
import time
from pathlib import Path

from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.isolation.meter import Folders, Meter


def test_a_folder_that_was_renamed_is_no_overrun(tmp_path: Path) -> None:
    """A pool's interpreter is handed out so; the next look may come before the meter is told."""
    before, after = tmp_path / "spare", tmp_path / "thread"
    before.mkdir()
    meter = Meter(Folders(before), Limits())
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        try:
            assert meter.overrun(program.pid) is None
            before.rename(after)
            time.sleep(0.2)  # of a program that has not computed since, nothing is looked at
            assert meter.overrun(program.pid) is None
            meter.watch(Folders(after))
            assert meter.overrun(program.pid) is None
        finally:
            program.kill()
