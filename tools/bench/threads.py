"""A thread per connection, as in a first course in networks: it shows what threads alone cost.

Speaks just enough of the protocol to be measured: nothing is validated, and no state is kept but names, partners and
calls.
"""

import socket
import threading

from pychat.spec import shipped
from tools.vocabulary import Vocabulary

SPEC = shipped()
WORDS = Vocabulary.of(SPEC)
ITEM = str(SPEC.requests[WORDS.list].item)
users: dict[str, socket.socket] = {}
calls: set[tuple[str, str]] = set()  # the caller and the called user
guard = threading.Lock()  # for `users` and `calls`


def serve(connection: socket.socket) -> None:
    """Answers one connection until it quits. A line goes straight into the partner's socket."""
    me, partner, push = "", connection, ""
    with connection, connection.makefile("r", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            verb, _, rest = line.rstrip("\n").partition(" ")
            if verb == WORDS.say:
                partner.sendall(line.encode())
                continue
            with guard:
                if verb == WORDS.name:
                    me = rest
                    users[me] = connection
                elif verb == WORDS.call:
                    partner = users[rest]
                    push = WORDS.accepted if (rest, me) in calls else WORDS.called
                    calls.add((me, rest))
                elif verb == WORDS.list:
                    rest = str(len(users))
                    items = "".join(ITEM.replace("<name>", name) + "\n" for name in users)
                    connection.sendall(items.encode())
                elif verb == WORDS.quit:
                    users.pop(me, None)
            if verb == WORDS.call:
                partner.sendall(f"{push} {me}\n".encode())
            connection.sendall(f"OK {verb} {rest}".rstrip().encode() + b"\n")
            if verb == WORDS.quit:
                break


def main() -> None:
    """Listens on a free port, says which, and starts a thread for each connection."""
    threading.stack_size(256 * 1024)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
