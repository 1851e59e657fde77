"""What a sentence-transformers model folder says of itself: how much it reads, how it pools, what it wants in front.

It reads the folder's JSON files and loads no weights. A folder that says nothing gets the commonest values.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ....engine.errors import ToolFault

Pooling = Literal["mean", "cls", "max"]
"""How the vectors of the tokens become one."""

ONNX = Path("onnx") / "model.onnx"
"""Where in the folder the model lies that needs no torch."""

WEIGHTS = "model.safetensors"
_MOST_WINDOW = 512  # tokens; memory of a step grows with its square, and chunks are shorter anyway
_USUAL_WINDOW = 256
_PASSAGE_PROMPTS = ("document", "passage")  # names under which folders keep it
_TRANSFORMER, _POOLING, _NORMALIZE = "Transformer", "Pooling", "Normalize"


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a model wants in front of a text, such as "query: "; empty for most."""

    query: str = ""
    passage: str = ""


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What is known of a model folder.

    Attributes:
        window: tokens that the model reads of a text, special ones included.
        prompts: what it was trained with.
        specials: of those, tokens that are no text's.
        pooling: how its vectors come about; None: in a way that only sentence-transformers knows.
    """

    window: int
    prompts: Prompts
    pooling: Pooling | None
    specials: int = 2  # one in front and one behind, in every family of encoders


def folder_facts(folder: Path) -> FolderFacts:
    """What the files of a folder say.

    Raises:
        ToolFault: one of them is damaged.
    """
    sentence = _table(folder / "sentence_bert_config.json")
    model = _table(folder / "config.json")
    prompts = _texts(_table(folder / "config_sentence_transformers.json").get("prompts"))
    passage = next((prompts[name] for name in _PASSAGE_PROMPTS if name in prompts), "")
    return FolderFacts(
        window=_window(sentence, model),
        prompts=Prompts(prompts.get("query", ""), passage),
        pooling=_pooling(folder),
    )


def _window(sentence: dict[str, Any], model: dict[str, Any]) -> int:
    said = sentence.get("max_seq_length")
    if not isinstance(said, int) or said < 1:
        said = _USUAL_WINDOW
    positions = model.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        # Models of RoBERTa's family count positions from the one behind the padding's.
        offset = 2 if "roberta" in str(model.get("model_type")) else 0
        said = min(said, positions - offset)
    return min(said, _MOST_WINDOW)


def _pooling(folder: Path) -> Pooling | None:
    modules = _json(folder / "modules.json", [])
    kinds = [str(one.get("type", "")).rpartition(".")[2] for one in modules]
    paths = [str(one.get("path", "")) for one in modules]
    if kinds not in ([_TRANSFORMER, _POOLING], [_TRANSFORMER, _POOLING, _NORMALIZE]):
        return None
    config = _table(folder / paths[1] / "config.json")
    modes: dict[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
    }
    on = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    return modes.get(on[0]) if len(on) == 1 else None


def _table(file: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", _json(file, {}))


def _texts(value: object) -> dict[str, str]:
    found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return {key: text for key, text in found.items() if isinstance(text, str)}


def _json(file: Path, default: Any) -> Any:
    """What is in a file, if it is there.

    Raises:
        ToolFault: it is not JSON, or not of the type of `default`.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (OSError, ValueError) as error:
        raise ToolFault(
            f"The embedding model's {file.name} cannot be read.", detail=f"{file}: {error}"
        ) from error
    if type(found) is not type(default):
        raise ToolFault(f"The embedding model's {file.name} is damaged.", detail=str(file))
    return found
