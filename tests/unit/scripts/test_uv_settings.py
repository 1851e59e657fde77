"""The installer is told what the user told pip."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "uv_settings.py"
ALWAYS = ["export UV_INDEX_STRATEGY=unsafe-best-match", "export UV_PYTHON_DOWNLOADS=never"]


def exports(pip_config_list: str, **variables: str) -> list[str]:
    """Run the script on a configuration, with nothing but these variables set."""
    done = subprocess.run(
        [sys.executable, SCRIPT],
        input=pip_config_list,
        env=variables,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("pip_config_list", "expected"),
    [
        ("global.index-url='https://a/simple'\n", "export UV_DEFAULT_INDEX=https://a/simple"),
        (
            r"global.extra-index-url='\nhttps://a\nhttps://b'",
            "export UV_INDEX='https://a https://b'",
        ),
        (r"global.find-links='/a\n/b'", "export UV_FIND_LINKS=/a,/b"),
        ("global.cert='/etc/ca.pem'\n", "export SSL_CERT_FILE=/etc/ca.pem"),
        (":env:.default-timeout='180'\n", "export UV_HTTP_TIMEOUT=180"),
    ],
)
def test_a_setting_of_pip_becomes_one_of_uv(pip_config_list: str, expected: str) -> None:
    """Each setting under uv's name and in uv's way of writing several values."""
    assert [*ALWAYS, expected] == exports(pip_config_list)


def test_a_variable_wins_over_a_file() -> None:
    """PIP_FIND_LINKS replaces what pip.conf says, whatever their order in the listing."""
    listing = ":env:.find-links='/variable'\nglobal.find-links='/file'\n"

    assert [*ALWAYS, "export UV_FIND_LINKS=/variable"] == exports(listing)


def test_what_is_set_for_uv_stays() -> None:
    """A variable that the user set for uv is not touched."""
    assert ALWAYS == exports("global.find-links='/pip'\n", UV_FIND_LINKS="/uv")


def test_a_value_cannot_run_a_command() -> None:
    """Values reach the shell quoted: the exports are evaluated."""
    assert [*ALWAYS, "export UV_DEFAULT_INDEX='$(touch x); `y`'"] == exports(
        "global.index-url='$(touch x); `y`'"
    )
