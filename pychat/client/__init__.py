"""The client: a connection for any program (`Client`), the line contract, and the chat at a terminal."""

from .client import Client

__all__ = ["Client"]
