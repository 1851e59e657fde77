"""`python -m local_assistants`, and the console script of the same name."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:2] == ["serve"] and sys.stderr.isatty() and not {"-h", "--help"} & {*sys.argv}:
        print("starting", file=sys.stderr, flush=True)  # the imports take seconds on a slow disk
    from local_assistants.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
