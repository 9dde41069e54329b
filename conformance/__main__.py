"""The console command `pychat-conformance`, and `python -m conformance`."""

from pychat.startup import require


def main() -> None:
    """Runs the command line. Signals are handled before the rest is imported, which takes a while."""
    require("pychat-conformance")
    from .engine.programs import end_on_signals

    end_on_signals("pychat-conformance")
    from .cli import main as commands

    commands()


if __name__ == "__main__":
    main()
