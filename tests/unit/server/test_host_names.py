"""A Host header is a name and perhaps a port; whoever says more in it means another server."""

import pytest

from local_assistants.server.errors import Forbidden
from local_assistants.server.gate import check_host
from local_assistants.server.settings import ServerSettings


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]", "[::1]:8000", "localhost:"]
)
def test_a_name_and_a_port_are_read(host: str) -> None:
    """In any case."""
    check_host({"host": host}, ServerSettings(), guarded=False)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example@localhost",
        "evil.example\\@localhost",
        "localhost#.evil.example",
        "localhost/evil.example",
        "localhost?.evil.example",
        "localhost, evil.example",
        "localhost:80:80",
        "localhost:evil",
        "[localhost]",
        "[::1",
        "",
    ],
)
def test_anything_more_is_no_name_of_ours(host: str) -> None:
    """What a proxy or a browser would take for another server's address does not get in as ours."""
    with pytest.raises(Forbidden):
        check_host({"host": host}, ServerSettings(), guarded=False)
