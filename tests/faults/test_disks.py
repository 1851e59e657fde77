"""The disk of a server at work is full, read-only or broken: it says so, loses nothing, and goes on when it can.

The disks are real: a tmpfs of some megabytes, an ext4 that the kernel makes read-only as it does after an error, a
bind mount without writing. Where a test may not mount them, a limit on the size of files stands for all of them.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.served import Json, Served, mountable, until

WORDS = " ".join(f"word{number}" for number in range(24))
SLOW = ({"text": WORDS, "tokens_per_second": 20},)
TMPFS = 'mount -t tmpfs -o size=24m none "$0"'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
LIMITED = "ulimit -f 8"  # 4 KiB a file, for those who may mount nothing
NO_ROOM = 'mount -t tmpfs -o size=64k none "$0"'


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Served]]:
    """Servers on disks of their own."""
    made: list[Served] = []

    def make(disk: str) -> Served:
        made.append(Served(tmp_path, SLOW, disk=disk))
        return made[-1]

    yield make
    for server in made:
        server.kill()


def speaking(server: Served) -> tuple[str, str]:
    """A thread and a run on it that is in the middle of its message."""
    thread = server.thread()
    run = server.run(thread)
    until(lambda: "".join(server.texts(thread)[1:]), "nothing is said")
    return thread, run


def refused(server: Served) -> tuple[list[int], list[str], str]:
    """What a server answers that cannot write: statuses of writes and of reads; the messages are of one kind."""
    file = {"file": ("a.txt", b"x" * 5000)}
    answers = [
        server.client.post("/threads", json={}),
        server.client.post("/assistants", json={"model": "scripted"}),
        server.client.post("/files", files=file, data={"purpose": "assistants"}),
    ]
    messages: set[str] = {answer.json()["error"]["message"] for answer in answers}
    reads = [server.client.get(path).status_code for path in ("/assistants", "/files")]
    said = " ".join(sorted(messages))
    return [answer.status_code for answer in answers], [str(code) for code in reads], said


def unready(server: Served) -> Json:
    """Why it is not ready, once it says so."""
    found: Json = {}

    def is_unready() -> bool:
        answer = server.client.get(server.client.base_url.join("/readyz")).json()
        found.update(answer.get("reasons", {}))
        return "store" in found

    until(is_unready, "it stays ready")
    return found


def ext4(folder: Path) -> str:
    """A disk on which the kernel can be told that it met an error."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(24 << 20)
    make = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin")
    if make is not None:
        subprocess.run([make, "-q", "-F", str(image)], check=True)
    return f'mount -o loop {image} "$0"'


def attached(image: Path) -> str:
    """The device that an image is behind, if any."""
    done = subprocess.run(["losetup", "-j", str(image)], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_full_disk_stops_nothing_for_good(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """Writes are refused with 507, reads go on, /readyz says why; with room the run goes on and completes."""
    real = mountable(TMPFS, tmp_path)
    server = serve(TMPFS if real else "")
    server.start()
    thread, run = speaking(server)
    server.fill()
    statuses, reads, said = refused(server)
    reasons = unready(server)
    before = server.texts(thread)
    server.free()
    done = server.ended(thread, run)
    texts = server.texts(thread)
    server.post("/threads")

    status, reason = (507, "disk is full") if real else (500, " failed: ")
    assert [status] * 3 == statuses
    assert ["200"] * 2 == reads
    assert reason in said
    assert str(server.data) not in said
    assert reason in reasons["store"]
    assert ("completed", WORDS) == (done["status"], texts[-1])
    assert "Go on." == texts[0]
    assert before[1] == texts[1] or texts[1].startswith(before[1])
    assert {} == server.broken()


def test_a_disk_that_turns_read_only_loses_nothing(
    serve: Callable[[str], Served], tmp_path: Path
) -> None:
    """As after an error of the disk: writes are refused, reads go on; on a sound disk the next start goes on."""
    disk = ext4(tmp_path)
    real = mountable(disk, tmp_path)
    server = serve(disk if real else "")
    server.start()
    thread, run = speaking(server)
    if real:
        server.on_its_disk("mount", "-o", "remount,abort", str(server.data))
    else:
        server.fill()
    statuses, reads, said = refused(server)
    reasons = unready(server)
    shown = server.texts(thread)
    server.kill()
    until(lambda: not (real and attached(tmp_path / "image")), "the broken disk stays mounted")
    server.start()
    done = server.ended(thread, run)
    texts = server.texts(thread)

    assert [500] * 2 == statuses[:2]
    assert statuses[2] in (500, 507)
    assert ["200"] * 2 == reads
    assert "The database failed: " in said
    assert str(server.data) not in said
    assert "The database failed: " in reasons["store"]
    assert ("completed", WORDS) == (done["status"], texts[-1])
    assert texts[1].startswith(shown[1])
    assert {} == server.broken()


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        (READ_ONLY, "The data folder failed: the disk is mounted read-only."),
        (NO_ROOM, "the disk is full; free some space and try again."),
    ],
    ids=["read-only", "full"],
)
def test_a_server_on_such_a_disk_does_not_start(
    serve: Callable[[str], Served], tmp_path: Path, disk: str, said: str
) -> None:
    """It ends with one line that says what helps, and no stack."""
    if not mountable(disk, tmp_path):
        disk, said = LIMITED, "local-assistants: The data"
    log = serve(disk).refuses()

    assert said in log
    assert "Traceback" not in log
