"""What jupyter_client must be told: which kernel to start, which provisioner starts it, what to ask of it.

Imports jupyter_client; imported only when a kernel is wanted. No kernel spec is installed on the host and none is
looked for: the one made here exists in memory.
"""

from importlib.metadata import EntryPoint
from typing import Any, cast

import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from . import provisioner
from .messages import Request

# The manager opens a control channel with it that nobody uses, and which finds no one: its path is gone by then.
# One for the process, never terminated: ending a context waits a second for peers that died.
_context = zmq.asyncio.Context()
_context.setsockopt(zmq.RECONNECT_IVL, -1)


class _OneSpec(KernelSpecManager):
    """Knows a single kernel, the one at `place`."""

    place: provisioner.Place

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The spec whose provisioner puts the kernel at `place`."""
        choice = {"provisioner_name": provisioner.NAME, "config": {"place": self.place}}
        return KernelSpec(
            argv=[],
            display_name=kernel_name,
            language="python",
            interrupt_mode="signal",
            metadata={"kernel_provisioner": choice},
        )


class _Manager(AsyncKernelManager):
    """Keeps the connection and its key in memory."""

    def write_connection_file(self, **_: Any) -> None:
        """The kernel got it with its job. A file would be read by nobody and outlive an engine that is killed."""


def manager(place: provisioner.Place) -> AsyncKernelManager:
    """A manager whose kernel will run at `place`."""
    specs = _OneSpec()
    specs.place = place
    return _Manager(kernel_name="sandbox", kernel_spec_manager=specs, context=_context)


def execute_request(of: AsyncKernelManager, code: str, *, silent: bool) -> Request:
    """A request to run `code`; a silent one leaves no trace in the kernel's history."""
    content: dict[str, Any] = {
        "code": code,
        "silent": silent,
        "store_history": not silent,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,  # or the call after one that failed or was interrupted would be aborted
    }
    message = of.session.msg("execute_request", content)
    return Request(str(message["msg_id"]), of.session.serialize(message))


def _make_known() -> None:
    """Announce the provisioner where the entry point is not installed, as in a plain checkout."""
    factory = cast("Any", KernelProvisionerFactory.instance())
    if provisioner.NAME not in factory.provisioners:
        factory.provisioners[provisioner.NAME] = EntryPoint(
            provisioner.NAME,
            f"{provisioner.__name__}:SandboxProvisioner",
            KernelProvisionerFactory.GROUP_NAME,
        )


_make_known()  # at import, which runs in a worker thread: it reads the metadata of every package installed
