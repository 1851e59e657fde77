"""The command line: `local-assistants serve|keys|threads|demo|doctor|models|interpreter`.

Every command imports what it needs when it runs, so `--help` stays quick; every error becomes one clear
sentence on stderr and one of the codes in `exit_codes`.
"""
