"""Private chat over TCP, made from one protocol spec."""

__version__ = "1.0.0"
