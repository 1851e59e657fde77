"""`local-assistants serve` with deltas that are not collected: see `seeds.AT_ONCE`.

python -m api_parts.live serve --model scripted:FILE --data FOLDER --port 0
"""

import sys
from dataclasses import replace
from functools import wraps
from typing import Any

from api_parts.seeds import AT_ONCE
from local_assistants import __main__, assemble, serving

_serve = serving.serve


@wraps(_serve)
def serve(settings: assemble.Settings, *rest: Any, **named: Any) -> None:
    """As the command has it, but for the core's settings."""
    _serve(replace(settings, core=AT_ONCE), *rest, **named)


if __name__ == "__main__":
    serving.serve = serve
    sys.exit(__main__.main())
