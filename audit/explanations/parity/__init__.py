"""Whether two models, meant to be one network in two forms, compute the same, and where they first differ.

`record` takes one model, in a process of its own if need be; `compare` needs recordings and no framework;
`parity_report` does both at once.
"""

from audit.explanations.parity.recording import Recorded, Subject, record
from audit.explanations.parity.report import ParityReport
from audit.explanations.parity.steps import STAGES, TOLERANCES, Stage, Step, Tolerances, default_tolerances
from audit.explanations.parity.walk import compare, parity_report

__all__ = [
    "STAGES",
    "TOLERANCES",
    "ParityReport",
    "Recorded",
    "Stage",
    "Step",
    "Subject",
    "Tolerances",
    "compare",
    "default_tolerances",
    "parity_report",
    "record",
]
