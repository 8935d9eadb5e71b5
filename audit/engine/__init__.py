"""Where work is placed: jobs, the worker, the process it lives in, the local engine."""
