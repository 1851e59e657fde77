"""`local-assistants demo`: the product's main job, done once on real data through the official SDK.

    story ─▶ server_process   the server, a child of its own
          ─▶ chapters         analyst · filing · functions · restart: SDK code as a stranger would write it
          ─▶ narrator         what the reader sees      ledger, truth   what was checked, and against what

Nothing here is used by the runtime, and nothing here knows a room: the demo meets the product only over HTTP.
"""

from local_assistants.engine.errors import MissingDependency


def run(model: str, output: str, *, resume: bool = False) -> int:
    """Tell the whole story and return the command's exit code.

    Args:
        model: what `serve --model` takes.
        output: folder for what the demo makes; made if need be.
        resume: leave out the chapters that an earlier, interrupted demo in the same folder has finished.

    Raises:
        MissingDependency: the official SDK is not installed.
        AssistantsError: the demo could not begin, or the server did not start.
    """
    try:
        from local_assistants.cli.demo import story
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise MissingDependency(
            "The demo talks through the official SDK: pip install 'local-assistants[demo]'"
        ) from error
    return story.tell(model, output, resume=resume)
