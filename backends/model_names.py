"""Which model a name means.

Code written for the hosted service names hosted models; such names are answered by the default model, so that it runs
unchanged. Names of models that embed, draw or transcribe are refused. Any other unknown name is an error.
"""

import re
from collections.abc import Collection, Mapping

from ..engine.errors import ModelNotFound, UnsuitedModel

HOSTED_NAMES = re.compile(r"(?:ft:)?(?:gpt-|chatgpt-|o[1-9]).*|default", re.IGNORECASE)

HOSTED_UNSUITED = re.compile(
    r"text-embedding-.*|.*moderation.*|whisper.*|tts-.*|dall-e-.*|gpt-image-.*|sora-.*|babbage-.*|davinci-.*"
    r"|gpt-.*-(?:tts|transcribe|realtime|audio)(?:-.*)?",
    re.IGNORECASE,
)


class ModelNames:
    """Resolves names.

    Args:
        names: of the models, the default first.
        aliases: further name -> name of a model.
        unsuited: names of models that are here, but not for conversations (the embedder).
    """

    def __init__(
        self, names: Collection[str], aliases: Mapping[str, str], unsuited: Collection[str]
    ) -> None:
        self._names = frozenset(names)
        self._default = next(iter(names))
        self._aliases = dict(aliases)
        self._unsuited = frozenset(unsuited)

    def resolve(self, name: str) -> str:
        """The model that answers for `name`.

        Raises:
            ModelNotFound: it is neither served here nor a hosted model's name.
            UnsuitedModel: it does not talk.
        """
        if name in self._names:
            return name
        if name in self._aliases:
            return self._aliases[name]
        if name in self._unsuited or HOSTED_UNSUITED.fullmatch(name):
            raise UnsuitedModel(
                f"The requested model '{name}' cannot be used with the Assistants API.",
                param="model",
            )
        if HOSTED_NAMES.fullmatch(name):
            return self._default
        raise ModelNotFound(f"The model '{name}' does not exist", param="model")
