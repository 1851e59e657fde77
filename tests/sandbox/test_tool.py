"""The tool as the core calls it: files in and out, hints, sessions, refusal."""

import logging
import os
from pathlib import Path

import pytest

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.engine.objects import ImageOutput
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Bubblewrap
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock, attach

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
    assert "Not stored, only in /mnt/data: bad?name.txt" in result.output


@pytest.mark.parametrize("limits", [Limits(files=2)], ids=["two files"])
async def test_files_beyond_those_of_one_call_are_named(desk: Desk) -> None:
    """They stay in /mnt/data, where the next call finds them."""
    result = await desk.run("for name in 'abc': open(f'{name}.txt', 'w').write(name)")
    assert ["/mnt/data/a.txt", "/mnt/data/b.txt"] == [made.path for made in result.files]
    assert "Not stored, only in /mnt/data: c.txt: more than 2 files" in result.output
    assert "c" == (await desk.run("print(open('c.txt').read())")).output


@pytest.mark.parametrize("limits", [Limits(session_files=3)], ids=["three in all"])
async def test_a_session_stores_so_many_files_and_pictures_in_all(desk: Desk) -> None:
    """Both count; what is over the limit is said, and the code works on."""
    draw = "import matplotlib.pyplot as plt\nfor n in (1, 2): plt.plot([1, n]); plt.show()"
    assert 2 == len((await desk.run(draw)).images)
    last = await desk.run("for name in 'ab': open(f'{name}.txt', 'w').write(name)")
    assert ["/mnt/data/a.txt"] == [made.path for made in last.files]
    assert "This session has stored its 3 files and pictures; no more are." in last.output
    over = await desk.run(f"open('c.txt', 'w').write('c')\n{draw}\nprint('drawn')")
    assert ((), ()) == (over.files, over.images)
    assert "drawn" in over.output
    assert 3 == len(desk.saved)


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
    result = await desk.run("x = 1")
    assert result.output.startswith("(no output)\nNothing is known yet. Hint: ")
    assert result.silent
    assert not result.failed


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


NO_BWRAP = Bubblewrap(Path("/bin/false"), "a bwrap that cannot isolate")


async def test_without_isolation_nothing_runs(environment: Environment, tmp_path: Path) -> None:
    """A bwrap that cannot isolate gives an error with the reason and what mends it, never a run."""
    settings = Settings(
        environment.prefix, tmp_path / "root", bubblewrap=NO_BWRAP, lowest_tier="A'"
    )
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
        environment.prefix,
        tmp_path / "root",
        bubblewrap=NO_BWRAP,
        lowest_tier="A'",
        allow_unsandboxed=True,
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
