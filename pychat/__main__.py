"""`python -m pychat`."""

from .cli import main

main()
