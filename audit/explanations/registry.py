"""Every method by its name: those of this package, those of captum and tf-explain, those of plug-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from audit.config_file import parse_config
from audit.errors import ConfigError, InputError, nearest
from audit.explanations.captum_methods import CAPTUM
from audit.explanations.explainer import Explainer
from audit.explanations.gradient_methods import (
    GradCam,
    GradCamPlusPlus,
    GradientXInput,
    HiResCam,
    LayerCam,
    Saliency,
)
from audit.explanations.path_methods import IntegratedGradients, SmoothGrad
from audit.explanations.perturbation_methods import Occlusion, Rise, ScoreCam
from audit.explanations.tf_explain_methods import TF_EXPLAIN

__all__ = ["ENTRY_POINTS", "build", "describe_method", "explainers", "register"]

ENTRY_POINTS = "faircam.explainers"

_OWN: tuple[type[Explainer], ...] = (
    Saliency,
    GradientXInput,
    GradCam,
    GradCamPlusPlus,
    HiResCam,
    LayerCam,
    SmoothGrad,
    IntegratedGradients,
    Occlusion,
    Rise,
    ScoreCam,
    *CAPTUM,
    *TF_EXPLAIN,
)
_ADDED: dict[str, type[Explainer]] = {}


def register(explainer: type[Explainer]) -> type[Explainer]:
    """Make a method known in this process; use an entry point to make it known in every process.

    Parameters
    ----------
    explainer : type of Explainer

    Returns
    -------
    type of Explainer
        The same, so that it can stand above a class as a decorator.

    Raises
    ------
    InputError
        Another method has that name.
    """
    known = explainers().get(explainer.name)
    if known is not None and known is not explainer:
        raise InputError(f"a method named '{explainer.name}' exists already", fix="give yours another name")
    _ADDED[explainer.name] = explainer
    return explainer


def explainers() -> Mapping[str, type[Explainer]]:
    """Every method that is known.

    Returns
    -------
    mapping of str to type of Explainer
        By name: faircam's own, those of entry points, those registered in this process.
    """
    return {**_installed(), **_ADDED}


@cache
def _installed() -> dict[str, type[Explainer]]:
    found = {explainer.name: explainer for explainer in _OWN}
    for point in entry_points(group=ENTRY_POINTS):
        found.setdefault(point.name, point.load())
    return found


def build(methods: Sequence[str | Mapping[str, Any]]) -> dict[str, Explainer]:
    """The methods that a configuration names, with their settings.

    Parameters
    ----------
    methods : sequence of str or mapping
        A name, or ``{name: ..., SETTING: ...}``.

    Returns
    -------
    dict of str to Explainer
        By name, in the order of the configuration.

    Raises
    ------
    ConfigError
        A name is unknown or given twice, or a setting is unknown or out of range.
    """
    known = explainers()
    found: dict[str, Explainer] = {}
    for entry in methods:
        settings = {} if isinstance(entry, str) else {key: value for key, value in entry.items() if key != "name"}
        name = entry if isinstance(entry, str) else str(entry.get("name"))
        where = "explanations.methods"
        if name not in known:
            raise ConfigError(
                f"method '{name}' is unknown, allowed: {', '.join(known)}.{nearest(name, known)}", where=where
            )
        if name in found:
            raise ConfigError(f"method '{name}' is given twice", where=where)
        found[name] = parse_config(known[name], settings, where=f"{where}.{name}")
    return found


def describe_method(method: Explainer) -> dict[str, Any]:
    """What the record of a run says of a method: its words, its settings, whose implementation it is."""
    return {
        "title": method.title,
        "definition": method.definition,
        "signed": method.signed,
        "needs_layer": method.needs_layer,
        "noisy": method.noisy,
        "provider": method.provider,
        "settings": method.model_dump(mode="json"),
    }
