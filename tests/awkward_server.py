"""A server that answers each line with octets that drive terminals, end lines and break markup. Argument: its port."""

from __future__ import annotations

import socket
import sys
import threading

AWKWARD = (
    "\0\x01\x1b[31m\x1b]0;title\a<script>alert(1)</script>]]>&amp; | `x` \u2028\u2029\x85\v\f\x1c\u202e\ufffe $x$ #y \r"
)


def serve(stream: socket.socket) -> None:
    with stream, stream.makefile("rb") as lines:
        for line in lines:
            sys.stderr.buffer.write(AWKWARD.encode() + line)
            sys.stderr.flush()
            stream.sendall(b"OK " + AWKWARD.encode() + b" \xff\xed\xa0\x80\n")


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream,), daemon=True).start()


if __name__ == "__main__":
    main()
