"""`python -m conformance` is the console command `pychat-conformance`."""

from .programs import end_on_signals


def main() -> None:
    """Signals are handled before the rest is imported, which takes a while."""
    end_on_signals("pychat-conformance")
    from .cli import main as command

    command()


if __name__ == "__main__":
    main()
