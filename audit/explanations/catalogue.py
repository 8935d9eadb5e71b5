"""The methods of explanation in words, for the command line."""

from __future__ import annotations

from audit.errors import InputError, nearest
from audit.explanations.explainer import Explainer
from audit.explanations.registry import explainers

__all__ = ["catalogue", "described"]


def catalogue() -> list[str]:
    """One line a method: its name, whose implementation it is, and for which models."""
    known = explainers()
    width = max(len(name) for name in known)
    lines = [f"{name:<{width}}  {method.provider:<10}  {_served(method)}" for name, method in known.items()]
    return [*lines, "", "What one of them computes, and its settings:  faircam methods NAME"]


def described(name: str) -> list[str]:
    """Definition and settings of one method.

    Raises
    ------
    InputError
        There is none of that name.
    """
    known = explainers()
    if name not in known:
        raise InputError(f"method '{name}' is unknown, allowed: {', '.join(known)}.{nearest(name, known)}")
    method = known[name]
    lines = [f"{method.title} ({method.name}), by {method.provider}, {_served(method)}", "", method.definition]
    lines += [f"  {key}: {field.default}  {field.description or ''}" for key, field in method.model_fields.items()]
    example = next(iter(method.model_fields.items()), None)
    entry = f"{{name: {name}, {example[0]}: {example[1].default}}}" if example else name
    return [*lines, "", f"In audit.yaml:  explanations: {{methods: [{entry}]}}"]


def _served(method: type[Explainer]) -> str:
    models = " and ".join(sorted(method.frameworks)) + " models" if method.frameworks else "every model"
    needs = ", ".join(sorted(method.needs - {"scores"}))
    if needs:
        return f"{models} with {needs}"
    return models if method.frameworks else f"{models}, black boxes too"
