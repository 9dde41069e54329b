"""The server: sockets and threads around the hub of `pychat.core`."""
