"""`python -m tools.bench`."""

from conformance.engine.programs import end_on_signals

if __name__ == "__main__":
    end_on_signals("bench")  # before the rest is imported, which takes a while
    from .cli import main

    main(prog_name="python -m tools.bench")
