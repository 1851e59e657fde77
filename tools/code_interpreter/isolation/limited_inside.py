"""Sets limits on itself, then becomes the program that it is given. Run inside the sandbox by one that runs alone.

`python -I limited.py '{"RLIMIT_DATA": bytes, ...}' ARGUMENTS`: the arguments are those of `python -I`. Inside and not
before the sandbox, because limits on processes would count all that the user runs. Standard library only.
"""

import json
import os
import resource
import sys


def main(limits: dict[str, int], arguments: list[str]) -> None:
    """Lower each limit, then run the same Python anew."""
    for name, value in limits.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (lowest, lowest))
    os.execv(sys.executable, [sys.executable, "-I", *arguments])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
