"""What a plug-in must keep: conformance suites for model adapters and for methods of explanation.

Call them from a test of your own; they need no test framework.
"""

from audit.testing.adapters import AdapterFault, check_adapter
from audit.testing.explainers import ExplainerFault, check_explainer

__all__ = ["AdapterFault", "ExplainerFault", "check_adapter", "check_explainer"]
