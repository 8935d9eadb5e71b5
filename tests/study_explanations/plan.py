"""Which networks the study is made of: thresholds are set on one part, error rates are measured on the others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from tests.study_explanations.networks import CONTROL, SHORTCUT, SIZE, Network, Size

__all__ = ["CALIBRATION", "HELD_OUT", "MEASURED_ON", "OTHER_NETWORK", "PARTS", "Part", "every_network"]


@dataclass(frozen=True)
class Part:
    """Networks of one architecture, each seed once taught the shortcut and once as the control."""

    name: str
    title: str
    architecture: str
    seeds: range

    def networks(self, most: int | None = None, size: Size = SIZE) -> list[Network]:
        """The networks, of the first `most` seeds."""
        kinds = (SHORTCUT, CONTROL)
        return [Network(self.architecture, kind, seed, size) for seed in self.seeds[:most] for kind in kinds]


CALIBRATION = Part("calibration", "seeds that the thresholds were set on", "plain_cnn", range(10))
HELD_OUT = Part("held out", "other seeds", "plain_cnn", range(10, 30))
OTHER_NETWORK = Part("other network", "other seeds, another architecture", "deep_cnn", range(30, 40))
PARTS = (CALIBRATION, HELD_OUT, OTHER_NETWORK)
MEASURED_ON = (HELD_OUT, OTHER_NETWORK)
"""What the page's answers rest on."""


def every_network(most: int | None = None) -> list[tuple[Part, Network]]:
    """All networks with their part, calibration first."""
    return list(chain.from_iterable([(part, network) for network in part.networks(most)] for part in PARTS))
