"""Prints, as shell exports, the settings for uv that say what the user's pip configuration says.

uv reads no pip configuration. Input: the output of `pip config list`, which has the PIP_* variables in it.
What the environment sets for uv already is left alone.
"""

import ast
import os
import shlex
import sys
from collections.abc import Iterable, Iterator

# Later ones win, as in pip: files (global, then the command's own section), then variables.
SECTIONS = ("global", "install", ":env:")

# pip's name, uv's variable, what separates several values there. A second source of one variable is a fallback.
SETTINGS = (
    ("index-url", "UV_DEFAULT_INDEX", None),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("no-index", "UV_NO_INDEX", None),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("timeout", "UV_HTTP_TIMEOUT", None),
    ("default-timeout", "UV_HTTP_TIMEOUT", None),
    ("cert", "SSL_CERT_FILE", None),
    ("proxy", "HTTPS_PROXY", None),
)
# pip takes the best version over all indexes; uv by itself stops at the first index that has the name.
ALWAYS = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_PYTHON_DOWNLOADS": "never"}


def main() -> None:
    """Read pip's settings from stdin and print the exports."""
    for name, value in {**ALWAYS, **dict(translate(read(sys.stdin)))}.items():
        if name not in os.environ:
            print(f"export {name}={shlex.quote(value)}")


def read(lines: Iterable[str]) -> dict[str, str]:
    """The effective value of every setting in `pip config list`."""
    ranked: dict[str, tuple[int, str]] = {}
    for line in lines:
        key, equals, value = line.strip().partition("=")
        section, _, name = key.rpartition(".")
        if equals and section in SECTIONS:
            candidate = (SECTIONS.index(section), str(ast.literal_eval(value)))
            ranked[name] = max(candidate, ranked.get(name, candidate), key=lambda pair: pair[0])
    return {name: value for name, (_, value) in ranked.items()}


def translate(settings: dict[str, str]) -> Iterator[tuple[str, str]]:
    """uv's variables and their values; the first source of a variable wins."""
    done: set[str] = set()
    for name, variable, separator in SETTINGS:
        value = settings.get(name, "").strip()
        if value and variable not in done:
            done.add(variable)
            yield variable, value if separator is None else separator.join(value.split())


if __name__ == "__main__":
    main()
