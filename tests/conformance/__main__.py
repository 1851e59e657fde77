"""Runs every client in its environment against real servers and writes docs/compatibility.md.

Called by scripts/conformance, which explains the options and brings uv. Environments lie in the cache, one folder for
each exact version, and are made again only when that changes.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.clients.reporting import Result
from tests.conformance.document import document
from tests.conformance.running import (
    STRANGER,
    Client,
    clients,
    drive,
    keys_for,
    node_command,
    python_command,
)
from tests.conformance.servers import ROOT, Servers, serving

PAGE = ROOT / "docs" / "compatibility.md"
_LIMIT = 900.0  # seconds for one client in one way


def main() -> int:
    """1 when something failed or, with --check, when the page is not what the results say."""
    arguments = _arguments()
    chosen = [c for c in clients(_pinned("openai")) if arguments.client in ("", c.title)]
    if not chosen:
        sys.exit(f"no client is called {arguments.client!r}")
    folders = {client.title: _environment(client) for client in chosen}
    by = _results(chosen, folders, arguments.case)
    results = [result for found in by.values() for result in found]
    failed = [result for result in results if not result.passed]
    for result in failed:
        _say(f"FAILED {result.client}: {result.case}\n    {result.detail}")
    _say(f"{len(results) - len(failed)} of {len(results)} passed")
    if arguments.results:
        lines = [result.line() for result in results]
        arguments.results.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if arguments.client or arguments.case:
        return 1 if failed else 0
    stale = _page(document(chosen, results, by), check=arguments.check)
    return 1 if failed or stale else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/conformance")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--client", default="")
    parser.add_argument("--case", default="")
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


def _page(text: str, *, check: bool) -> bool:
    """Write the page, or compare it; whether it is not what the results say."""
    if not check:
        PAGE.write_text(text, encoding="utf-8")
        _say(f"wrote {PAGE.relative_to(ROOT)}")
        return False
    same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
    _say(f"{PAGE.relative_to(ROOT)} {'is' if same else 'is NOT'} what the results say")
    return not same


def _results(
    chosen: Sequence[Client], folders: dict[str, Path], part: str
) -> dict[str, list[Result]]:
    jobs = [(client, way) for client in chosen for way in client.ways]
    projects = [_project(*job) for job in jobs]
    with (
        TemporaryDirectory(prefix="conformance-") as folder,
        serving(Path(folder), [*projects, STRANGER]) as servers,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):

        def tried(job: tuple[Client, str]) -> list[Result]:
            return _drive(*job, folders[job[0].title], servers, part)

        found = list(zip(jobs, pool.map(tried, jobs), strict=True))
        if "Traceback" in servers.log.read_text():
            _say(f"the server broke down:\n{servers.log.read_text()[-4000:]}")
            sys.exit(1)
    return {
        client.title: [result for (by, _), of in found if by is client for result in of]
        for client in chosen
    }


def _project(client: Client, way: str) -> str:
    return " ".join(filter(None, [client.title, way]))


def _drive(client: Client, way: str, folder: Path, servers: Servers, part: str) -> list[Result]:
    addresses = [servers.address, *([] if "agents" in client.module else [servers.hasty])]
    python = folder / "bin" / "python"
    command = python_command(python, client.module, way) if client.module else node_command(way)
    found = drive(
        command,
        [*addresses, *([part] if part else [])],
        seconds=_LIMIT,
        variables={"NODE_MODULES": str(folder), **keys_for(_project(client, way), servers.keys)},
    )
    seconds, passed = sum(result.seconds for result in found), sum(r.passed for r in found)
    _say(f"{_project(client, way)}: {passed} of {len(found)} passed, {seconds:.1f} s")
    return found


# --- environments


def _environment(client: Client) -> Path:
    """The folder of the client's environment, made if it is not there whole."""
    folder = Path(os.environ["LOCAL_ASSISTANTS_CACHE"]) / "conformance" / client.folder
    mark = folder / "complete"
    if not mark.is_file():
        _say(f"==> making the environment of {client.requirement}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if client.module:
            _python_environment(client, folder)
        else:
            _node_environment(client, folder)
        mark.touch()
    return folder


def _python_environment(client: Client, folder: Path) -> None:
    uv = os.environ["UV"]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    subprocess.run([*install, client.requirement], check=True)


def _node_environment(client: Client, folder: Path) -> None:
    if shutil.which("npm") is None:
        sys.exit("the Node client needs node (20 or later) and npm on the PATH")
    folder.mkdir()
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(
        ["npm", "install", "--prefix", str(folder), *quiet, client.requirement],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _pinned(package: str) -> str:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if name == package:
            return version.split()[0]
    sys.exit(f"constraints.txt has no pin for {package}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
