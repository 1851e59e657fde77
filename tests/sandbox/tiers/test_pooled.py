"""Kernels of the pool under each tier: who runs in one has the thread's files as his own."""

from .rows import WORKED_OFTEN, Engine

OFTEN = (*WORKED_OFTEN, "B-root")

_BEFORE = """
import os
os.makedirs('a/b'); open('a/b/c.txt', 'w').write('kept'); os.symlink('a', 'link')
"""
_AFTER = """
import os, sys
print('pandas' in sys.modules, sorted(os.listdir('/mnt/data')), open('/mnt/data/link/b/c.txt').read())
open('a/b/c.txt', 'a').write(' and more'); open('/mnt/data/a/new.txt', 'w').write('new')
print(open('/mnt/data/a/b/c.txt').read(), sorted(os.listdir('a')))
"""


def test_a_kernel_that_waited_has_the_files_of_the_thread_that_takes_it(engine: Engine) -> None:
    """It reads and changes what an earlier session made, whoever that one ran as; and it has pandas imported."""
    said = engine.ask("pooled", before=_BEFORE, after=_AFTER)["said"][1]
    assert ["True ['a', 'link'] kept", "kept and more ['b', 'new.txt']"] == said.splitlines()
