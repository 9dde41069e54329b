"""`python -m tools.dissector`."""

from .cli import main

main()
