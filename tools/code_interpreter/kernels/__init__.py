"""One IPython kernel in a sandbox: starting it, talking to it, reading what it says."""
