"""The compliance bundle: a run at a disclosure level, with the documents made from it."""
