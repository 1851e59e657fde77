"""What jupyter_client must be told: which kernel to start, which provisioner starts it, how much to receive.

Imports jupyter_client; imported only when a kernel is wanted. No kernel spec is installed on the host and none is
looked for: the one made here exists in memory.
"""

from importlib.metadata import EntryPoint
from typing import Any, cast

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from . import provisioner

_RECEIVE_QUEUE = 64  # messages waiting on the host for each socket

# One for the process, never terminated: ending a context waits a second for peers that died.
_context = zmq.asyncio.Context()
# A cut connection is never taken up again by itself: who would answer then is not ours to trust.
_context.setsockopt(zmq.RECONNECT_IVL, -1)
_context.setsockopt(zmq.RCVHWM, _RECEIVE_QUEUE)


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


def manager(place: provisioner.Place) -> AsyncKernelManager:
    """A manager whose kernel will run at `place`."""
    specs = _OneSpec()
    specs.place = place
    return AsyncKernelManager(kernel_name="sandbox", kernel_spec_manager=specs, context=_context)


def client(of: AsyncKernelManager, message_bytes: int) -> AsyncKernelClient:
    """A client of the manager's kernel with its shell and iopub channels open; larger messages cut the connection."""
    _context.setsockopt(zmq.MAXMSGSIZE, message_bytes)
    made = of.client(context=_context)
    made.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)
    return made


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
