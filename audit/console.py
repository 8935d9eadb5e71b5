"""What the commands print: progress bars, the table of findings, warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from audit.run import Run
from audit.terminal import legible, output, plain, table

if TYPE_CHECKING:
    from audit.training.settings import EpochRecord

__all__ = ["Bars", "findings_table", "paired_table", "say", "step", "warn"]

_OUT = output()
_ERR = Console(stderr=True, soft_wrap=True, highlight=False)
_MARKS = {"fail": ("✗", "red"), "inconclusive": ("?", "yellow"), "warn": ("!", "yellow"), "pass": ("✓", "green")}
_ORDER = {"fail": 0, "error": 1, "inconclusive": 2, "warn": 3, "pass": 4, "waived": 5}
_SHOWN = 40
_SENTENCES = 6


def say(text: str) -> None:
    """Print a line, as it is."""
    _OUT.print(plain(text))


def warn(text: str) -> None:
    """Print a line on standard error, as it is."""
    _ERR.print(plain(f"Note: {text}", "yellow"))


class Bars:
    """Progress bars, one a stage and model; on standard error, so that output can be piped."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=_ERR,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def update(self, stage: str, model: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a stage and model."""
        key = (stage, model)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(f"{stage:<10} {legible(model)}", total=total, note="")
        self._progress.update(self._tasks[key], completed=done, note=legible(note))

    def epoch(self, model: str, epochs: int, record: EpochRecord) -> None:
        """Move the bar of a training, with its latest figures."""
        note = f"accuracy {record.accuracy:.3f}, held out {record.val_accuracy:.3f}"
        self.update("train", model, record.epoch, epochs, note)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def findings_table(run: Run) -> None:
    """Print the findings of a run, failing first, with the whole sentence of those that failed."""
    findings = run.table("findings")
    findings = findings.sort_values("verdict", key=lambda column: column.map(_ORDER), kind="stable")
    say("")
    say(run.name)
    shown = table("verdict", "model", "rule", "value [interval]", "tolerance")
    for row in findings.head(_SHOWN).to_dict("records"):
        mark, colour = _MARKS.get(row["verdict"], ("-", "white"))
        measured = "undefined" if pd.isna(row["value"]) else f"{row['value']:.3f}"
        if pd.notna(row["low"]) and pd.notna(row["high"]):
            measured += f" [{row['low']:.3f}, {row['high']:.3f}]"
        cells = (str(row["model"]), str(row["rule"]), measured, f"{row['threshold']:.2f}")
        shown.add_row(plain(f"{mark} {row['verdict']}", colour), *map(plain, cells))
    _OUT.print(shown)
    if len(findings) > _SHOWN:
        say(f"... {len(findings)} findings in all: table `findings` of the run")
    for text in findings.loc[findings["verdict"] == "fail", "text"].head(_SENTENCES):
        say(f"  ✗ {text}")


def paired_table(title: str, paired: pd.DataFrame) -> None:
    """Print rows of table `paired`: the accuracy of everybody and of every group, before and after."""
    say("")
    say(f"{title}, accuracy on the same images")
    shown = table("attribute", "group", "n", "before", "after", "change [interval]", "p adjusted")
    accuracy = paired[paired["metric"] == "accuracy"]
    for row in accuracy.head(_SHOWN).to_dict("records"):
        values = [f"{row[name]:.3f}" if pd.notna(row[name]) else "-" for name in ("first_value", "second_value")]
        change = f"{row['difference']:+.3f}" if pd.notna(row["difference"]) else str(row["status"])
        if pd.notna(row["low"]) and pd.notna(row["high"]):
            change += f" [{row['low']:+.3f}, {row['high']:+.3f}]"
        p = (
            "-"
            if pd.isna(row["p_adjusted"])
            else "< 0.001"
            if row["p_adjusted"] < 0.001
            else f"{row['p_adjusted']:.3f}"
        )
        shown.add_row(*map(plain, (row["attribute"], row["group"], row["n"], *values, change, p)))
    _OUT.print(shown)
    if len(accuracy) > _SHOWN:
        say(f"... {len(accuracy)} rows in all: --format csv")


@contextmanager
def step(doing: str) -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is being done, while the context is open."""
    with _ERR.status(plain(doing)) as status:
        yield lambda what: status.update(plain(f"{doing} {what}"))
