"""The run folder: its plan, shards, tables and record. Everything that reads a run starts here."""

from audit.run.record import Run, find_runs, open_run

__all__ = ["Run", "find_runs", "open_run"]
