"""A model process that was taken over by a hostile GGUF, for tests: says what the file that it is to load tells it."""

import socket
import sys
import time
from pathlib import Path


def main() -> None:
    """Read the path from the host's first message, send the bytes of that file, stay."""
    line = socket.socket(fileno=int(sys.argv[1]))
    heard = line.recv(1 << 16)
    path = heard.split(b'"path":"')[1].split(b'"')[0].decode()
    line.sendall(Path(path).read_bytes())
    time.sleep(60)


if __name__ == "__main__":
    main()
