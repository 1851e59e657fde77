"""What `serve` finds out of its models before it listens: that they are usable at all, and what clients call them.

Loads nothing and asks no server: whether there is memory, and whether other servers are up, may change while it runs.
"""

from local_assistants.chat_models import ids_of, server_of, weights_of
from local_assistants.engine.errors import BackendFault, InvalidRequest
from local_assistants.models_file import ModelConfig, ModelsConfig
from local_assistants.unknown_names import EMBEDDING, embedder


def check(config: ModelsConfig) -> None:
    """Refuse models that will certainly never answer.

    Raises:
        ModelNotFound: weights are not on this machine.
        BackendFault: a file is no whole model for chat.
        InvalidRequest: it is an embedder, or a key or certificates of another server cannot be read.
    """
    for model in config.models:
        _check_weights(model)
        _check_server(model)


def described(config: ModelsConfig) -> str:
    """The ids of all models, each with its source in brackets where that is something else."""
    said: list[str] = []
    for model in config.models:
        source = model.source or ", ".join(model.server.endpoints if model.server else ())
        names = ids_of(model)
        said += [name if name == source else f"{name} ({source})" for name in names]
    return ", ".join(said)


def _check_weights(model: ModelConfig) -> None:
    from local_assistants.backends.llama_cpp.loading.inspection import inspect
    from local_assistants.backends.llama_cpp.loading.opening import check

    path = weights_of(model)
    if path is None:
        return
    if inspect(path).kind == EMBEDDING:
        raise embedder(model.source)
    check(path, model.options.get("mmproj"))


def _check_server(model: ModelConfig) -> None:
    server = server_of(model)
    if server is None:
        return
    from local_assistants.backends.openai_compatible.connection import check_secrets

    try:
        check_secrets(server)
    except BackendFault as error:
        raise InvalidRequest(
            f"The model {model.called}: {error.message}", detail=error.detail
        ) from error
