"""Specs built at random: those of the repository, changed as data. Some are valid, and the loader has to say which.

`tidy` takes away what a change has left unused, so that more of them stay valid.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import yaml

from pychat.core.replay import replay
from pychat.spec import loads
from pychat.spec.reading import read

from .conftest import ROOT
from .spec_changes import CHANGES, drop_anything, swap_two_values
from .spec_data import Data, tidy
from .spec_language import MORE_CHANGES

SHIPPED, LITTLE = ROOT / "spec" / "pychat.yaml", ROOT / "tests" / "little.yaml"
SOURCES = (SHIPPED, LITTLE, LITTLE)  # the little one is tried in half the time
MOST_CHANGES = 5
WILD = 0.2  # how often a change that knows nothing of specs comes last


def candidates(seed: int) -> Iterator[bytes]:
    """Specs without end, as the octets of files. The same seed gives the same ones."""
    sources = [read(path.read_bytes(), path.name).data for path in SOURCES]
    number = 0
    while True:
        number += 1
        dice = Random(f"{seed}/{number}")
        data = copy.deepcopy(dice.choice(sources))
        assert isinstance(data, dict)
        data["protocol"] = f"made{number}"  # it is another protocol: the plays about the shipped one are not its own
        for _ in range(dice.randint(1, MOST_CHANGES)):
            with suppress(LookupError, ValueError):
                dice.choice(CHANGES + MORE_CHANGES)(data, dice)
        tidy(data)
        if dice.random() < WILD:
            dice.choice((swap_two_values, drop_anything))(data, dice)
        yield octets_of(data)


def octets_of(data: Data) -> bytes:
    """The file of these data."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(data, Dumper=dumper, sort_keys=False, width=1000, allow_unicode=False)).encode("ascii")


def with_true_examples(octets: bytes) -> bytes:
    """A valid spec without the examples that are not true any more."""
    spec = loads(octets)
    wrong = [name for name, example in spec.examples.items() if replay(spec, example)]
    data = yaml.safe_load(octets)
    for name in wrong:
        del data["examples"][name]
    return octets_of(data)
