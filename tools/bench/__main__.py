"""`python -m tools.bench`."""

from conformance.engine.programs import end_on_signals


def main() -> None:
    """Signals are handled before the rest is imported, which takes a while."""
    end_on_signals("bench")
    from .cli import main as command

    command(prog_name="python -m tools.bench")


if __name__ == "__main__":
    main()
