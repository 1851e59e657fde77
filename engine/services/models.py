"""The models served here."""

from collections.abc import Sequence

from ..core import Core
from ..errors import ModelNotFound, PermissionDenied, UnsuitedModel
from ..objects import Model
from ..ports import ModelStatus


class ModelList:
    """A read-only view of the models port."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def list(self) -> Sequence[Model]:
        """All of them."""
        return self._core.models.list()

    def states(self) -> Sequence[ModelStatus]:
        """All of them with how they are, for people."""
        return self._core.models.status()

    async def get(self, name: str) -> Model:
        """One by name; an alias answers under its own name.

        Raises:
            ModelNotFound: nothing answers to this name.
        """
        target = self._resolve(name)
        for model in self._core.models.list():
            if model.id == target:
                return model.model_copy(update={"id": name})
        raise ModelNotFound(f"The model '{name}' does not exist", param="model")

    async def delete(self, name: str) -> None:
        """Always refused: clients of the API may delete what was fine-tuned through it, and nothing is here.

        Raises:
            ModelNotFound: nothing answers to this name.
            PermissionDenied: it is served.
        """
        self._resolve(name)
        raise PermissionDenied(
            f"The model '{name}' is served from this machine's own files and was not fine-tuned through this API, so "
            "it cannot be deleted through it. Its operator removes it by deleting its file ('local-assistants models "
            "ls' shows where it lies) and starting the server with another --model.",
            param="model",
        )

    def _resolve(self, name: str) -> str:
        """The model that answers to a name; one that cannot is not in this list, whatever else it does here."""
        try:
            return self._core.models.resolve(name)
        except UnsuitedModel as error:
            raise ModelNotFound(f"The model '{name}' does not exist", param="model") from error
