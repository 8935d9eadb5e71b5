"""The sections of a report, one module each: from a run's tables to nodes of the document tree."""
