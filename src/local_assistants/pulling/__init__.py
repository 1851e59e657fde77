"""Getting weights onto this machine: the one part of the product that fetches anything.

Only the command line imports it (import-linter checks that): opening an engine, serving and running models never
download. What comes from a server is hostile until its size, its header and, where one is known, its hash have been
checked; nothing appears under its final name before.
"""

from local_assistants.pulling.download import Patience
from local_assistants.pulling.pull import Asked, Pulled, pull, remove_weights
from local_assistants.pulling.sources import shown

__all__ = ["Asked", "Patience", "Pulled", "pull", "remove_weights", "shown"]
