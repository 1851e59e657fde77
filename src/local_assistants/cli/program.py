"""How this program is called, for the commands that it advises."""

import os
import re
import shutil
import sys
from pathlib import Path

_NAME = "local-assistants"
_COMMAND = re.compile(rf"(?<![\w./-]){_NAME}(?= [a-z])")


def runnable(text: str) -> str:
    """`text` with our own commands called by the path of this program, where its name alone would not find it."""
    here = Path(sys.argv[0])
    if here.name != _NAME or not here.is_file():
        return text
    on_path = shutil.which(_NAME)
    if on_path is not None and os.path.samefile(on_path, here):
        return text
    shown = here.resolve()
    if shown.is_relative_to(Path.cwd()):
        shown = shown.relative_to(Path.cwd())
    return _COMMAND.sub(lambda _: str(shown), text)
