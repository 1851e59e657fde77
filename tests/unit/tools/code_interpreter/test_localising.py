"""Paths in code and in what it says, where there is no /mnt/data."""

import pytest

from local_assistants.tools.code_interpreter.isolation.localising import localise, shown

NAMES = {"/mnt/data": "/srv/s 1/data", "/tmp": "/tmp/room/1/tmp"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open('/mnt/data/a.csv')", "open('/srv/s 1/data/a.csv')"),
        ("f'/mnt/data/{name}.png'", "f'/srv/s 1/data/{name}.png'"),
        ("os.listdir('/mnt/data')", "os.listdir('/srv/s 1/data')"),
        ('glob("/mnt/data/*")', 'glob("/srv/s 1/data/*")'),
        ("open('/tmp/x')", "open('/tmp/room/1/tmp/x')"),
        ("'cat /mnt/data/a /tmp/b'", "'cat /srv/s 1/data/a /tmp/room/1/tmp/b'"),
        ("Path('/mnt/data') / 'a'", "Path('/srv/s 1/data') / 'a'"),
    ],
)
def test_paths_are_called_by_their_real_names(code: str, expected: str) -> None:
    """In strings, f-strings and command lines alike; what was put in is not looked at again."""
    assert expected == localise(code, NAMES)


@pytest.mark.parametrize(
    "code",
    [
        "'/mnt/database'",
        "'/mnt/data-2/x'",
        "'/srv/mnt/data/x'",
        "'/mnt/data.csv'",
        "'/var/tmp/x'",
        "'/tmpfile'",
        "print('[x](sandbox:/mnt/data/x.csv)')",
    ],
)
def test_what_only_looks_like_a_path_stays(code: str) -> None:
    """Other names that begin or end alike, and links for the user."""
    assert code == localise(code, NAMES)


def test_what_code_says_has_the_names_it_knows() -> None:
    """The way back, wherever the path stands."""
    said = "['/srv/s 1/data/a'] in /srv/s 1/data, /tmp/room/1/tmp/x"
    assert "['/mnt/data/a'] in /mnt/data, /tmp/x" == shown(said, NAMES)
