"""Certificates are always checked, against the public ones or those of the settings."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants.engine.errors import BackendFault
from tests.support.chat_server import ChatServer
from tests.support.turns import listen, user

from .conftest import Connect

NEW_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    " -keyout key.pem -out cert.pem -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
)


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """One that nobody knows, as cert.pem in the test's folder, too."""
    if shutil.which("openssl") is None:
        pytest.fail("this test makes a certificate with openssl: apt-get install openssl")
    subprocess.run(NEW_CERTIFICATE.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return tls


@pytest.fixture
async def secure(certificate: ssl.SSLContext) -> AsyncIterator[ChatServer]:
    """A server that shows it."""
    server = ChatServer()
    await server.start(certificate)
    yield server
    await server.stop()


async def test_an_unknown_certificate_is_refused(secure: ChatServer, connect: Connect) -> None:
    """The error says what to do, and nothing was asked."""
    with pytest.raises(BackendFault, match="ca_file"):
        await connect(secure)
    assert [] == secure.seen


async def test_a_certificate_of_the_settings_is_trusted(
    secure: ChatServer, connect: Connect, tmp_path: Path
) -> None:
    """For this model alone."""
    backend = await connect(secure, ca_file=tmp_path / "cert.pem")
    assert "hello" == (await listen(backend, user("Hello"))).text


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_without_certificates_is_named(
    content: str | None, secure: ChatServer, connect: Connect, tmp_path: Path
) -> None:
    """Missing or something else."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BackendFault, match=r"ca\.pem"):
        await connect(secure, ca_file=path)
