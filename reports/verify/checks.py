"""What a verification found: one check a line, each with what is wrong and what could not be seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["INTACT", "MODIFIED", "Check", "Verification"]

INTACT, MODIFIED = 0, 4
"""Exit codes: nothing was found; something is not what it was."""

_MOST = 20


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    said : str
        What was held against what, and how much of it.
    problems : tuple of str
        What is not as it should be, one sentence each.
    unseen : tuple of str
        What this check could not see, and why.
    """

    name: str
    said: str
    problems: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """All checks of a run or bundle.

    Attributes
    ----------
    path : Path
    what : str
        A run, or a bundle and its level.
    checks : tuple of Check
    """

    path: Path
    what: str
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[str]:
        """Every problem, in the order of the checks."""
        return [problem for check in self.checks for problem in check.problems]

    @property
    def exit_code(self) -> int:
        """0 where nothing was found, else 4."""
        return MODIFIED if self.problems else INTACT

    def lines(self) -> list[str]:
        """The verification as text, line by line."""
        found = [f"{self.path}: {self.what}"]
        for check in self.checks:
            found.append(f"{'✗' if check.problems else '✓'} {check.name}: {check.said}")
            found += [f"    ✗ {problem}" for problem in check.problems[:_MOST]]
            if len(check.problems) > _MOST:
                found.append(f"    ✗ ... {len(check.problems)} in all")
            found += [f"    - not seen: {unseen}" for unseen in check.unseen]
        if self.problems:
            found.append(f"MODIFIED, or not whole: {len(self.problems)} problems.")
        else:
            found.append("Nothing was found that differs. What was not seen is listed above.")
        return found
