"""Pulling weights from servers, kind ones and hostile ones."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_assistants import model_store
from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.errors import (
    AssistantsError,
    InsufficientStorage,
    InvalidRequest,
    NotFound,
    ServerFault,
)
from local_assistants.pulling import Asked, Patience, pull
from tests.support.weights_server import Hosted, WeightsServer, serving_weights, some_gguf

Machine = Callable[[], Path]
QUICK = Patience(attempts=3, pause=0.0, timeout=5.0)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """A GGUF of 200 kB."""
    return some_gguf(tmp_path / "source.gguf")


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    """A server that has nothing yet."""
    with serving_weights() as running:
        yield running


@pytest.fixture
def models(empty_machine: Machine) -> Path:
    """The models folder of an empty machine."""
    return empty_machine()


def digest(content: bytes) -> str:
    """What the content hashes to."""
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    """What people see in a folder."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_is_pulled_from_an_address(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """It gets the address's last name, and the hash is told, though nobody had said what to expect."""
    server.files["/some/mine.gguf"] = Hosted(content=content)

    pulled = pull(f"{server.address}/some/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()
    assert (models / "mine.gguf", (digest(content),), False) == (
        pulled.path,
        pulled.sha256,
        pulled.checked,
    )
    assert model_store.resolve("mine") == pulled.path


def test_a_broken_connection_is_gone_on_with(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """The rest is asked for, on condition that the file is the same, and only the rest is sent."""
    server.files["/mine.gguf"] = Hosted(content=content, breaks=[1000, 5000])

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()
    assert ["", "bytes=1000-", "bytes=6000-"] == server.ranges()
    assert '"one"' == server.asked[1][1]["if-range"]


def test_a_later_pull_goes_on_where_one_was_given_up(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """What has arrived is kept between commands."""
    server.files["/mine.gguf"] = Hosted(content=content, breaks=[70_000, 0, 0, 0])
    with pytest.raises(ServerFault, match="What has arrived is kept"):
        pull(f"{server.address}/mine.gguf", patience=QUICK)
    server.files["/mine.gguf"].breaks.clear()

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()
    assert "bytes=70000-" == server.ranges()[-1]


def test_a_killed_pull_is_gone_on_with(models: Path, server: WeightsServer, content: bytes) -> None:
    """kill -9 in the middle of a download loses nothing that had arrived."""
    server.files["/mine.gguf"] = Hosted(content=content, holds=100_000)
    command = [sys.executable, "-m", "local_assistants", "models", "pull"]
    with subprocess.Popen([*command, f"{server.address}/mine.gguf"]) as child:
        while not [path for path in models.rglob("mine.gguf") if path.stat().st_size >= 100_000]:
            time.sleep(0.01)
        child.kill()
    server.files["/mine.gguf"].holds = None

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()
    assert ["", "bytes=100000-"] == server.ranges()


def test_a_file_that_changed_is_begun_anew(
    models: Path, server: WeightsServer, content: bytes, tmp_path: Path
) -> None:
    """The beginning of one version and the end of another never make a file."""
    address = f"{server.address}/mine.gguf"
    server.files["/mine.gguf"] = Hosted(content=content, breaks=[70_000, 0, 0, 0])
    with pytest.raises(ServerFault):
        pull(address, patience=QUICK)
    newer = some_gguf(tmp_path / "newer.gguf", 60_000)
    server.files["/mine.gguf"] = Hosted(content=newer, headers={"ETag": '"two"'})

    pull(address, patience=QUICK)

    assert newer == (models / "mine.gguf").read_bytes()


def test_a_beginning_that_cannot_be_told_apart_is_not_gone_on_with(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """Of a server that names no version the whole file is fetched again."""
    server.files["/mine.gguf"] = Hosted(content=content, breaks=[1000], headers={"ETag": 'W/"x"'})

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()
    assert ["", ""] == server.ranges()


def test_a_wrong_piece_is_not_taken(models: Path, server: WeightsServer, content: bytes) -> None:
    """A server that answers with another range than asked for makes the pull start over."""
    hosted = Hosted(content=content, breaks=[1000])
    server.files["/mine.gguf"] = hosted
    hosted.headers["Content-Range"] = f"bytes 0-{len(content) - 1}/{len(content)}"

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()
    assert ["", "bytes=1000-", ""] == server.ranges()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_tried_again(
    models: Path, server: WeightsServer, content: bytes, status: int
) -> None:
    """A busy server is asked a second time."""
    server.files["/mine.gguf"] = Hosted(content=content, status=[status])

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert 2 == len(server.asked)


def test_the_hash_that_was_asked_for_decides(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """Another file is not kept, not even as a beginning."""
    server.files["/mine.gguf"] = Hosted(content=content)

    with pytest.raises(InvalidRequest, match=f"has the SHA-256 {digest(content)} and not 0000"):
        pull(f"{server.address}/mine.gguf", Asked(sha256="0" * 64), patience=QUICK)

    assert [] == names(models)
    assert [] == [each for each in (models / ".parts").iterdir() if each.is_dir()]


def test_the_right_hash_is_said_to_be_checked(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """In capitals, too; and asking again fetches nothing."""
    server.files["/mine.gguf"] = Hosted(content=content)
    asked = Asked(sha256=digest(content).upper())

    first = pull(f"{server.address}/mine.gguf", asked, patience=QUICK)

    assert first.checked
    assert first == pull(f"{server.address}/mine.gguf", asked, patience=QUICK)
    assert 1 == len(server.asked)


def test_a_pulled_file_is_not_fetched_again(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """The same address means the same file; `models rm` makes way for a new one."""
    server.files["/mine.gguf"] = Hosted(content=content)
    address = f"{server.address}/mine.gguf"

    assert pull(address, patience=QUICK).path == pull(address, patience=QUICK).path
    assert 1 == len(server.asked)


def test_another_file_of_the_same_name_is_not_replaced(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """The text says both ways out, and the file stays."""
    (models / "mine.gguf").write_bytes(b"GGUF of the user's own")
    server.files["/mine.gguf"] = Hosted(content=content)

    with pytest.raises(InvalidRequest, match=r"models rm mine\), or give the new one another name"):
        pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert b"GGUF of the user's own" == (models / "mine.gguf").read_bytes()
    assert models / "other.gguf" == (
        pull(f"{server.address}/mine.gguf", Asked(name="other"), patience=QUICK).path
    )


def test_the_name_of_catalogued_weights_is_for_them_only(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """A server cannot slip in another file under a name that `serve` trusts."""
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    server.files[f"/{name}"] = Hosted(content=content)

    with pytest.raises(InvalidRequest, match="and not b179c9523d0e"):
        pull(f"{server.address}/{name}", patience=QUICK)

    assert [] == names(models)


@pytest.mark.parametrize(
    ("hosted", "said"),
    [
        (Hosted(content=b"<!doctype html><title>Log in</title>"), "is a web page, not a GGUF"),
        (Hosted(content=b"x" * 99, headers={"Content-Type": "text/html"}), "is a web page"),
        (Hosted(content=b"PK\x03\x04" + b"x" * 99), "is something else, not a GGUF"),
        (Hosted(content=b"GGUF" + b"\xff" * 400), "GGUF of version 4294967295"),
        (Hosted(content=b"GGUF" + b"x" * 999, length=False), "does not say how long it is"),
        (Hosted(headers={"Content-Length": "99999999999999999999"}), "bytes; that is no model"),
        (Hosted(headers={"Content-Length": "-5"}), "bad Content-Length"),
        (Hosted(content=b"GGUF" * 9, headers={"Content-Encoding": "gzip"}), "comes packed"),
        (Hosted(status=[403]), r"needs a login \(status 403\)"),
        (Hosted(status=[402]), "answered with status 402"),
        (Hosted(status=[500] * 9), "answered with status 500"),
        (Hosted(moved="ftp://127.0.0.1/mine.gguf"), r"unsafe address \(ftp\)"),
        (Hosted(moved="http://host:port/"), "Invalid URL in location header"),
        (Hosted(moved="/mine.gguf"), "redirected more than 5 times"),
    ],
)
def test_a_bad_server_leaves_nothing_behind(
    models: Path, server: WeightsServer, hosted: Hosted, said: str
) -> None:
    """Whatever it sends, there is one clear error and no file."""
    server.files["/mine.gguf"] = hosted

    with pytest.raises(AssistantsError, match=said):
        pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert [] == names(models)


def test_a_body_longer_than_it_claims_is_cut_there(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """What comes after the length that was said is not read."""
    server.files["/mine.gguf"] = Hosted(
        content=content + b"x" * 500_000, headers={"Content-Length": str(len(content))}
    )

    pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert content == (models / "mine.gguf").read_bytes()


def test_a_cut_off_file_is_not_kept(models: Path, server: WeightsServer, content: bytes) -> None:
    """A server that has only half of a GGUF is told from one whose connection broke."""
    server.files["/mine.gguf"] = Hosted(content=content[:100_000])

    with pytest.raises(AssistantsError, match=r"mine\.gguf is cut off"):
        pull(f"{server.address}/mine.gguf", patience=QUICK)

    assert [] == names(models)


def test_what_does_not_fit_the_disk_is_not_begun(models: Path, server: WeightsServer) -> None:
    """The length is compared with what is free before a byte is taken."""
    server.files["/mine.gguf"] = Hosted(headers={"Content-Length": str(1 << 41)})

    with pytest.raises(InsufficientStorage, match="Make room"):
        pull(f"{server.address}/mine.gguf", patience=QUICK)


def test_no_password_and_no_query_is_shown_or_noted(
    models: Path, server: WeightsServer, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are sent to the server and nowhere else."""
    server.files["/mine.gguf?signature=secret"] = Hosted(content=content)
    address = f"{server.address}/mine.gguf?signature=secret".replace("//", "//me:secret@")

    assert exit_codes.DONE == run(["models", "pull", address])

    said = capsys.readouterr()
    noted = "".join(path.read_text() for path in models.rglob("*.json"))
    assert server.asked[0][1]["authorization"].startswith("Basic ")
    assert "secret" not in said.out + said.err + noted
    assert f"{server.address}/mine.gguf" in noted


def test_a_missing_file_is_said_to_be_missing(models: Path, server: WeightsServer) -> None:
    """And the query of the address, which may be a secret, is not."""
    with pytest.raises(NotFound, match=r"/gone\.gguf does not exist \(status 404\)\.$"):
        pull(f"{server.address}/gone.gguf?signature=secret", patience=QUICK)


@pytest.mark.parametrize(
    "last",
    ["..%2F..%2Fevil.gguf", "%2e%2e.gguf", "-rf.gguf", "a%00b.gguf", "con:1.gguf", "model.bin", ""],
)
def test_a_name_that_is_no_plain_file_is_refused(
    models: Path, server: WeightsServer, last: str
) -> None:
    """Nothing is asked of the server."""
    with pytest.raises(InvalidRequest, match="--name"):
        pull(f"{server.address}/{last}", patience=QUICK)

    assert [] == server.asked


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", ""])
def test_a_name_given_by_hand_must_be_plain_too(
    models: Path, server: WeightsServer, name: str
) -> None:
    """--name is no way out of the folder."""
    with pytest.raises(InvalidRequest):
        pull(f"{server.address}/mine.gguf", Asked(name=name), patience=QUICK)


def test_an_address_without_a_file_name_takes_a_given_one(
    models: Path, server: WeightsServer, content: bytes
) -> None:
    """Such as one that ends in a query."""
    server.files["/download?id=7"] = Hosted(content=content)

    pull(f"{server.address}/download?id=7", Asked(name="seven"), patience=QUICK)

    assert content == (models / "seven.gguf").read_bytes()


def test_all_parts_of_a_split_model_are_pulled(
    models: Path, server: WeightsServer, tmp_path: Path
) -> None:
    """Whichever part was named; they are one model with one name."""
    parts = [some_gguf(tmp_path / f"{part}", 1000 * part) for part in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        server.files[f"/big-{number:05}-of-00003.gguf"] = Hosted(content=part)

    pull(f"{server.address}/big-00002-of-00003.gguf", patience=QUICK)

    (weights,) = model_store.installed()
    assert parts == [path.read_bytes() for path in weights.files]
    assert ("big", sum(map(len, parts))) == (weights.name, weights.bytes)
    assert models / "big-00001-of-00003.gguf" == model_store.resolve("big")


# --- a hub ---------------------------------------------------------------------------------------


@pytest.fixture
def hub(server: WeightsServer, content: bytes, monkeypatch: pytest.MonkeyPatch) -> WeightsServer:
    """A hub that keeps its files on another host, and names their hashes."""
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hub-secret")
    elsewhere = server.address.replace("127.0.0.1", "localhost")
    named = {"X-Linked-ETag": f'"{digest(content)}"'}
    for revision in ("main", "v1.2"):
        path = f"/Owner/Repo-GGUF/resolve/{revision}/sub/tiny.Q4_0.gguf"
        server.files[path] = Hosted(moved=f"{elsewhere}/cdn/1?signed=yes", headers=named)
    server.files["/cdn/1?signed=yes"] = Hosted(content=content)
    return server


@pytest.mark.parametrize("revision", ["", "@v1.2"])
def test_a_hub_reference_is_pulled_and_checked(
    models: Path, hub: WeightsServer, content: bytes, revision: str
) -> None:
    """The hub's own hash is compared; the token goes to the hub and not to where it sends us."""
    pulled = pull(f"hf:Owner/Repo-GGUF/sub/tiny.Q4_0.gguf{revision}", patience=QUICK)

    assert content == (models / "tiny.Q4_0.gguf").read_bytes()
    assert pulled.checked
    assert ["Bearer hub-secret", None] == [each.get("authorization") for _, each in hub.asked]


def test_a_file_that_is_not_the_hub_s_is_not_kept(
    models: Path, hub: WeightsServer, tmp_path: Path
) -> None:
    """Storage that serves another file than the hub lists is found out."""
    hub.files["/cdn/1?signed=yes"].content = some_gguf(tmp_path / "forged", 700)

    with pytest.raises(InvalidRequest, match="so nothing was kept"):
        pull("hf:Owner/Repo-GGUF/sub/tiny.Q4_0.gguf", patience=QUICK)

    assert [] == names(models)


def test_the_hub_s_hash_survives_an_interruption(
    models: Path, hub: WeightsServer, content: bytes
) -> None:
    """The second command checks what the first was told, even if it is not told again."""
    source = "hf:Owner/Repo-GGUF/sub/tiny.Q4_0.gguf"
    hub.files["/cdn/1?signed=yes"].breaks += [1000, 0, 0, 0]
    with pytest.raises(ServerFault):
        pull(source, patience=QUICK)
    forged = content[:1000] + b"\1" + content[1001:]
    hub.files["/cdn/1?signed=yes"] = Hosted(content=forged)
    hub.files["/Owner/Repo-GGUF/resolve/main/sub/tiny.Q4_0.gguf"].headers.clear()

    with pytest.raises(InvalidRequest, match="so nothing was kept"):
        pull(source, patience=QUICK)


@pytest.mark.parametrize("reference", ["hf:", "hf:owner", "hf:owner/repo", "hf:o/r/f.gguf@"])
def test_a_malformed_hub_reference_says_the_form(models: Path, reference: str) -> None:
    """Nothing is asked of anybody."""
    with pytest.raises(InvalidRequest, match=r"Write hf:OWNER/REPO/FILE\.gguf"):
        pull(reference, patience=QUICK)
