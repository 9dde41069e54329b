"""The console command `pychat`, and `python -m pychat`."""

from .startup import require


def main() -> None:
    """Runs the command line."""
    require("pychat")
    from .cli import main as commands

    commands()


if __name__ == "__main__":
    main()
