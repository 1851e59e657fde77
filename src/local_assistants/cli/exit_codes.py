"""Exit codes of the command line: stable, and documented here only.

0    done
1    a check found something wrong: doctor, sandbox status, models verify, db check, db backup, export,
     a part of the demo
2    the command line or a setting is wrong; nothing was done. db check: the folder cannot be checked
3    what was named is not here: a model, a file, a key
4    something this machine lacks or cannot do: a package, the sandbox, room on the disk, an index
70   a bug of ours; LOCAL_ASSISTANTS_DEBUG=1 shows where
130  interrupted with Ctrl-C
"""

from local_assistants.engine.errors import AssistantsError, InvalidRequest, NotFound

DONE = 0
CHECK_FAILED = 1
WRONG_USAGE = 2
CANNOT_CHECK = 2
NOT_FOUND = 3
CANNOT = 4
BUG = 70
INTERRUPTED = 130


def of(error: AssistantsError) -> int:
    """The code for an error that we raised on purpose."""
    if isinstance(error, NotFound):
        return NOT_FOUND
    return WRONG_USAGE if isinstance(error, InvalidRequest) else CANNOT
