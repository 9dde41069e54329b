"""`python -m conformance` is the console command `pychat-conformance`."""

from .cli import main

if __name__ == "__main__":
    main()
