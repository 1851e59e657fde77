"""`python -m local_assistants`, and the console script of the same name."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:2] == ["serve"] and sys.stderr.isatty() and not {"-h", "--help"} & {*sys.argv}:
        sys.stderr.write("starting\n")  # what follows takes seconds, most of them for imports
        sys.stderr.flush()
    from local_assistants.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
