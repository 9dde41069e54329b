"""The console command `pychat-conformance`, and `python -m conformance`."""

from pychat.startup import require


def main() -> None:
    """Runs the command line."""
    require("pychat-conformance")
    from .cli import main as commands

    commands()


if __name__ == "__main__":
    main()
