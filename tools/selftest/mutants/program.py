"""The command line that the mutable server and the mutable client share: which mutant, of which spec."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from pychat.spec import Spec, SpecError, load, shipped

from .mutant import E, Mutant, find


def chosen(
    parser: argparse.ArgumentParser, mutants: Callable[[Spec], Sequence[Mutant[E]]], correct: type[E]
) -> tuple[argparse.Namespace, type[E], Spec]:
    """The options, the engine and the spec that it interprets; ends the program when there is no such mutant."""
    parser.add_argument("--mutant", default="none", help="its name; `none` is the correct one")
    parser.add_argument("--spec", help="a spec file instead of the shipped one")
    options = parser.parse_args()
    try:
        spec = load(options.spec) if options.spec else shipped()
    except (SpecError, OSError) as error:
        sys.exit(str(error))
    mutant = find(mutants(spec), options.mutant)
    if mutant is None:
        sys.exit(f"there is no mutant {options.mutant}")
    return options, mutant.engine or correct, mutant.spec or spec
