"""`python -m local_assistants`, and the console script of the same name."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from local_assistants.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
