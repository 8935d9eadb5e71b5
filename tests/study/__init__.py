"""The operating-characteristic study: what the intervals, tests and verdicts do where the truth is known.

``python -P -m tests.study`` (``make study``) rebuilds ``docs/operating-characteristics.*``. It is no test: it
prints and writes tables, and asserts nothing.
"""
