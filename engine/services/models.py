"""The models served here."""

from collections.abc import Sequence

from ..core import Core
from ..errors import ModelNotFound
from ..objects import Model


class ModelList:
    """A read-only view of the models port."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def list(self) -> Sequence[Model]:
        """All of them."""
        return self._core.models.list()

    async def get(self, name: str) -> Model:
        """One by name; an alias answers under its own name.

        Raises:
            ModelNotFound: nothing answers to this name.
        """
        target = self._core.models.resolve(name)
        for model in self._core.models.list():
            if model.id == target:
                return model.model_copy(update={"id": name})
        raise ModelNotFound(f"The model '{name}' does not exist", param="model")
