"""Who keeps house on a data folder: one server at a time, and after its end, however that comes, another."""

import signal
import subprocess
import sys
from pathlib import Path

from local_assistants.storage.presence import Keeper

HOLDS = """
import sys, time
from pathlib import Path
from local_assistants.storage.presence import Keeper

keeper = Keeper(Path(sys.argv[1]))
print(keeper.keeps_house(), flush=True)
time.sleep(600)
"""


def test_one_keeps_house_until_it_closes(tmp_path: Path) -> None:
    """Whoever asks first; the other asks again, and who has closed does not come back."""
    first, second = Keeper(tmp_path), Keeper(tmp_path)
    asked = [first.keeps_house(), second.keeps_house(), first.keeps_house()]
    first.close()
    then = [second.keeps_house(), first.keeps_house()]
    second.close()

    assert [True, False, True] == asked
    assert [True, False] == then


def test_a_killed_server_keeps_no_house(tmp_path: Path) -> None:
    """The next one need not wait for anything."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    keeper = Keeper(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        beside = keeper.keeps_house()
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    after = keeper.keeps_house()
    keeper.close()

    assert ("True\n", False, True) == (said, beside, after)


def test_a_folder_that_is_gone_has_no_keeper(tmp_path: Path) -> None:
    """Nobody is told of an error for asking."""
    assert not Keeper(tmp_path / "gone").keeps_house()
