"""The tool as the core calls it: files in and out, hints, sessions, refusal."""

import asyncio
import contextlib
import logging
import os
from pathlib import Path

import pytest

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.engine.objects import ImageOutput
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Bubblewrap, Sandbox
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits, Sessions
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock, attach, say

BANKS = Path(__file__).parents[2] / "examples" / "data" / "failed_banks.csv"


async def test_a_made_file_is_collected(desk: Desk) -> None:
    """A file written to /mnt/data is stored and named with its path."""
    result = await desk.run("open('/mnt/data/report.txt', 'w').write('done')")
    assert [("/mnt/data/report.txt", "file-report.txt")] == [
        (f.path, f.file_id) for f in result.files
    ]
    assert b"done" == desk.saved["report.txt"]
    assert "/mnt/data/report.txt" in result.output


async def test_a_workbook_survives_the_way_out(desk: Desk, tmp_path: Path) -> None:
    """An XLSX made by pandas reads back the same in the next call."""
    await desk.run(
        "import pandas as pd\npd.DataFrame({'n': [1, 2]}).to_excel('out.xlsx', index=False)"
    )
    copy = tmp_path / "back.xlsx"
    copy.write_bytes(desk.saved["out.xlsx"])
    other = Desk(desk.tool, thread_id="thread_2", files=[attach(copy, "file-b", "back.xlsx")])
    result = await other.run("import pandas as pd\nprint(pd.read_excel('back.xlsx')['n'].tolist())")
    assert "[1, 2]" == result.output


async def test_an_unchanged_input_is_not_collected(desk: Desk) -> None:
    """Only what the call made or changed comes out."""
    desk.files = [attach(BANKS, "file-1", "failed_banks.csv")]
    result = await desk.run("print(open('failed_banks.csv').readline()[:4])")
    assert () == result.files
    assert "Bank" == result.output


async def test_a_changed_file_is_collected_again(desk: Desk) -> None:
    """Appending to an earlier file is a change."""
    await desk.run("open('log.txt', 'w').write('a')")
    result = await desk.run("open('log.txt', 'a').write('b')")
    assert ["/mnt/data/log.txt"] == [made.path for made in result.files]
    assert b"ab" == desk.saved["log.txt"]


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.symlink('/etc/passwd', 'leak.txt')",
        "import os; os.symlink('/etc', 'leak')",
        "import os; open('one.tmp', 'w').write('x'); os.link('one.tmp', 'leak.txt')",
        "import os; os.mkfifo('leak.txt')",
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('leak.sock')",
    ],
    ids=["symlink", "folder-symlink", "hard link", "fifo", "socket"],
)
async def test_what_is_no_plain_file_is_not_collected(desk: Desk, code: str) -> None:
    """Links would lead the engine to its own files, the others would block it."""
    result = await desk.run(code)
    assert () == result.files
    assert {} == desk.saved


async def test_names_that_cannot_be_shown_are_left_out(desk: Desk) -> None:
    """A line break in a name is reported, not stored."""
    result = await desk.run("open('bad\\nname.txt', 'w').write('x')")
    assert () == result.files
    assert "Not kept: bad?name.txt" in result.output


async def test_files_that_code_owns_cannot_be_swapped_under_the_collector(desk: Desk) -> None:
    """A process that keeps exchanging a file for a link to a host file never gets the link's target collected."""
    secret = b"root:"
    await desk.run(
        "import subprocess, sys\n"
        "swap = '''import os\nwhile True:\n"
        "    open('x.tmp', 'w').write('fine'); os.replace('x.tmp', 'race.txt')\n"
        "    os.symlink('/etc/passwd', 'y.tmp'); os.replace('y.tmp', 'race.txt')\n'''\n"
        "subprocess.Popen([sys.executable, '-c', swap])"
    )
    for _ in range(20):
        await desk.run("1")
    assert [] == [name for name, content in desk.saved.items() if content.startswith(secret)]


async def test_two_inputs_of_one_name_are_numbered(desk: Desk, tmp_path: Path) -> None:
    """Both are there, the second under a number."""
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(f"n\n{number}\n")
    desk.files = [attach(tmp_path / f"{n}.csv", f"file-{n}", "table.csv") for n in (1, 2)]
    result = await desk.run("print(open('table.csv').read()[2], open('table_2.csv').read()[2])")
    assert "1 2" == result.output


async def test_an_input_that_was_deleted_meanwhile_is_left_out(desk: Desk, tmp_path: Path) -> None:
    """Its bytes went after the run had begun: code runs with the files that are left."""
    (tmp_path / "kept.csv").write_text("b\n")
    desk.files = (
        attach(tmp_path / "gone.csv", "file-gone", "gone.csv"),
        attach(tmp_path / "kept.csv", "file-kept", "kept.csv"),
    )
    result = await desk.run("import os; print(sorted(os.listdir()))")
    assert "['kept.csv']" in result.output


async def test_an_input_cannot_be_written_through_a_planted_link(
    desk: Desk, tmp_path: Path
) -> None:
    """A link that waits under the name of the next input is stepped around."""
    victim = tmp_path / "victim.txt"
    victim.write_text("untouched")
    await desk.run(f"import os; os.symlink({str(victim)!r}, 'table.csv')")
    (tmp_path / "t.csv").write_text("n\n1\n")
    desk.files = [attach(tmp_path / "t.csv", "file-1", "table.csv")]
    assert "1" == (await desk.run("print(open('table_2.csv').read()[2])")).output
    assert "untouched" == victim.read_text()


async def test_copies_that_a_killed_engine_left_are_swept(desk: Desk, tmp_path: Path) -> None:
    """They can be as large as all of /mnt/data."""
    folder = tmp_path / "root" / "sessions" / desk.thread_id
    (folder / "collected-before").mkdir(parents=True)
    (folder / "collected-before" / "0").write_bytes(b"x" * 1000)
    await desk.run("open('made.txt', 'w').write('now')")
    assert {"made.txt": b"now"} == desk.saved
    assert {"data", "session", "inputs.json", "mounted"} >= {path.name for path in folder.iterdir()}


async def test_a_picture_is_stored_and_announced_in_order(desk: Desk) -> None:
    """Logs before it, logs after it, and its file id in the result."""
    code = "import matplotlib.pyplot as plt\nprint('before', flush=True)\nplt.plot([1, 2]); plt.show()\nprint('after')"
    result = await desk.run(code)
    kinds = [output.type for output in desk.emitted]
    assert ["logs", "image", "logs"] == kinds
    assert isinstance(desk.emitted[1], ImageOutput)
    assert (desk.emitted[1].image.file_id,) == result.images
    assert desk.saved["image_1.png"].startswith(b"\x89PNG")


async def test_code_in_fences_with_prose_runs(desk: Desk) -> None:
    """A small model's favourite form, with a link where a path should be."""
    code = "Here is the code:\n```python\nprint(open('sandbox:/mnt/data/a.txt', 'w').write('abc'))\n```\nDone."
    assert (await desk.run(code)).output.startswith("3")


async def test_an_invisible_space_is_pointed_out(desk: Desk) -> None:
    """The hint on the real file names the line that mends it, and the line does."""
    desk.files = [attach(BANKS, "file-1", "failed_banks.csv")]
    code = "import pandas as pd\ndf = pd.read_csv('failed_banks.csv')\nprint(df['State'].value_counts().head(1))"
    wrong = await desk.run(code)
    assert wrong.failed
    assert "df.columns = df.columns.str.strip()" in wrong.output
    right = await desk.run(
        "df.columns = df.columns.str.strip()\nprint(df['State'].value_counts().head(1))"
    )
    assert "GA    93" in right.output


async def test_a_missing_file_is_answered_with_those_that_are_there(desk: Desk) -> None:
    """The hint lists /mnt/data."""
    desk.files = [attach(BANKS, "file-1", "failed_banks.csv")]
    result = await desk.run("open('banks.csv')")
    assert "/mnt/data holds: failed_banks.csv" in result.output


async def test_silence_is_answered_with_advice(desk: Desk) -> None:
    """A call without any output tells the model to print."""
    assert "(no output) Hint: use print(...) to see a result." == (await desk.run("x = 1")).output


async def test_the_model_reads_no_more_than_it_can_afford(desk: Desk) -> None:
    """Logs are stored in full, the model gets beginning and end."""
    desk.output_tokens = 100
    result = await desk.run("print('a' * 5000)")
    assert 5001 == len(desk.logs)
    assert len(result.output) < 400
    assert "characters left out" in result.output


async def test_the_brief_tells_how_to_load_the_real_table(desk: Desk) -> None:
    """Columns that end in invisible spaces and dates kept as text come with the lines that mend them."""
    files = [attach(BANKS, "file-1", "failed_banks.csv")]
    brief = await desk.tool.brief(files, desk.session)
    assert "568 rows, 7 columns" in brief
    assert "df.columns = df.columns.str.strip()" in brief
    assert "pd.to_datetime(df['Closing Date'], format='%d-%b-%y')" in brief
    assert len(brief) < 700
    assert brief == await desk.tool.brief(files, desk.session)


async def test_a_file_that_breaks_its_reader_has_no_profile(desk: Desk, tmp_path: Path) -> None:
    """A workbook of noise is named and nothing more."""
    (tmp_path / "noise.xlsx").write_bytes(os.urandom(2000))
    files = [attach(tmp_path / "noise.xlsx", "file-1", "noise.xlsx")]
    assert "File /mnt/data/noise.xlsx" == await desk.tool.brief(files, desk.session)


async def test_threads_share_nothing(desk: Desk) -> None:
    """Another thread sees neither variables nor files."""
    await desk.run("secret = 1\nopen('mine.txt', 'w').write('x')")
    other = Desk(desk.tool, thread_id="thread_2")
    assert "[]" == (await other.run("import os; print(os.listdir('/mnt/data'))")).output
    assert "NameError" in (await other.run("secret")).output


async def test_a_busy_thread_does_not_hold_up_another(desk: Desk) -> None:
    """While one thread's code spins, another's call comes back."""
    other = Desk(desk.tool, thread_id="thread_2")
    await other.run("1")
    spinning = asyncio.create_task(desk.run("while True: pass"))
    await asyncio.sleep(0.3)
    assert "2" == (await other.run("print(1 + 1)")).output
    assert not spinning.done()
    spinning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await spinning


async def test_a_cleaned_up_socket_folder_is_made_again(
    sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """Whoever sweeps temporary folders does not end the tool."""
    sessions = Sessions(tmp_path / "root", sandbox, clock, SessionLimits())
    sessions.sockets.rmdir()
    async with sessions.use("thread_1", ()) as session:
        assert "2\n" == (await say(session.kernel, "1 + 1")).text
    await sessions.close()


async def test_files_outlive_the_engine(
    desk: Desk, environment: Environment, tmp_path: Path
) -> None:
    """A new engine over the same folder finds the thread's files; a lost variable is explained."""
    await desk.run("kept = 1\nopen('kept.txt', 'w').write('still here')")
    await desk.tool.close()
    tool = CodeInterpreter(Settings(environment.prefix, tmp_path / "root"), HandClock())
    later = Desk(tool)
    assert "still here" == (await later.run("print(open('kept.txt').read())")).output
    await tool.close()
    lost = await Desk(desk.tool).run("kept")
    assert "new interpreter session: variables of earlier ones are gone" in lost.output


async def test_a_session_ends_after_half_an_hour_without_a_call(
    desk: Desk, clock: HandClock
) -> None:
    """The next call gets a new interpreter with the old files."""
    await desk.run("kept = 1\nopen('kept.txt', 'w').write('x')")
    clock.time += 1801
    result = await desk.run("import os; print(os.listdir('/mnt/data')); kept")
    assert "['kept.txt']" in result.output
    assert "NameError" in result.output


async def test_a_session_ends_an_hour_after_its_start(desk: Desk, clock: HandClock) -> None:
    """However busy it was."""
    await desk.run("kept = 1")
    for _ in range(3):
        clock.time += 1199
        assert "1" == (await desk.run("print(kept)")).output
    clock.time += 1199
    assert "NameError" in (await desk.run("print(kept)")).output


async def test_the_least_recently_used_session_makes_room(desk: Desk, clock: HandClock) -> None:
    """With four live, a fifth thread ends the one that rested longest."""
    threads = [Desk(desk.tool, thread_id=f"thread_{number}") for number in range(5)]
    for thread in threads:
        clock.time += 1
        await thread.run("kept = 1")
    assert "NameError" in (await threads[0].run("kept")).output
    assert "1" == (await threads[4].run("print(kept)")).output


async def test_a_forgotten_thread_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    """Deleting a thread deletes its files."""
    await desk.run("open('kept.txt', 'w').write('x')")
    await desk.tool.forget("thread_1")
    assert [] == list((tmp_path / "root" / "sessions").iterdir())


NO_BWRAP = Bubblewrap(Path("/bin/false"), "a bwrap that cannot isolate")


async def test_without_isolation_nothing_runs(environment: Environment, tmp_path: Path) -> None:
    """A bwrap that cannot isolate gives an error with the reason and what mends it, never a run."""
    settings = Settings(environment.prefix, tmp_path / "root", bubblewrap=NO_BWRAP)
    desk = Desk(CodeInterpreter(settings, HandClock()))
    with pytest.raises(SandboxUnavailable, match=r"no sandbox on this host: .*--security-opt"):
        await desk.run("open('/mnt/data/ran', 'w')")
    assert not os.path.lexists(tmp_path / "root" / "sessions" / "thread_1")


async def test_without_an_interpreter_nothing_runs(tmp_path: Path) -> None:
    """The error names the command that installs it."""
    tool = CodeInterpreter(Settings(tmp_path / "none", tmp_path / "root"), HandClock())
    with pytest.raises(SandboxUnavailable, match="local-assistants interpreter install"):
        await Desk(tool).run("1")


async def test_the_override_runs_without_isolation_and_says_so(
    environment: Environment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where isolation fails, only the operator's explicit setting runs code, and nobody can miss it in the log."""
    settings = Settings(
        environment.prefix, tmp_path / "root", bubblewrap=NO_BWRAP, allow_unsandboxed=True
    )
    desk = Desk(CodeInterpreter(settings, HandClock()))
    with caplog.at_level(logging.CRITICAL):
        assert "none" == await desk.tool.check()
    assert "WITHOUT A SANDBOX" in caplog.text
    result = await desk.run("open('/mnt/data/a.txt', 'w').write('abc')")
    assert ["/mnt/data/a.txt"] == [made.path for made in result.files]
    assert b"abc" == desk.saved["a.txt"]
    await desk.tool.close()


async def test_the_override_changes_nothing_where_isolation_works(
    environment: Environment, tmp_path: Path
) -> None:
    """It is no way to switch the sandbox off."""
    settings = Settings(environment.prefix, tmp_path / "root", allow_unsandboxed=True)
    tool = CodeInterpreter(settings, HandClock())
    assert await tool.check() in ("A", "A'")
    await tool.close()
