"""Every registered method keeps what is promised of one; the suite catches those that do not."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from audit.explanations import Batch, Explainer, Maps, explainers
from audit.models.loading import wrap_model
from audit.testing import ExplainerFault, check_explainer
from tests.models.twins import CLASSES, SHAPE, numpy_twin, torch_twin

SMALL: dict[str, dict[str, Any]] = {
    "rise": {"masks": 12},
    "smooth_grad": {"copies": 3},
    "occlusion": {"window": 2, "stride": 1},
    "gradient_shap": {"samples": 3},
    "kernel_shap": {"cells": 2, "samples": 12},
    "lime": {"cells": 2, "samples": 12},
}
OWN = [name for name, method in explainers().items() if method.provider == "faircam"]
CAPTUM = [name for name, method in explainers().items() if method.provider == "captum"]


@pytest.mark.parametrize("name", OWN)
def test_own_methods_on_the_closed_form(name: str) -> None:
    check_explainer(explainers()[name](**SMALL.get(name, {})), numpy_twin(dtype="float64"))


@pytest.mark.torch
@pytest.mark.parametrize("name", CAPTUM)
def test_methods_of_captum(name: str) -> None:
    pytest.importorskip("captum")
    adapter = wrap_model(torch_twin(), CLASSES, input_shape=SHAPE, dtype="float64")
    check_explainer(explainers()[name](**SMALL.get(name, {})), adapter)


class Faulty(Explainer):
    """Does one thing wrong."""

    name: ClassVar = "faulty"
    title: ClassVar = "Faulty"
    definition: ClassVar = "does one thing wrong"
    fault: str = ""

    def explain(self, batch: Batch) -> Maps:
        raw = np.abs(batch.gradients.input_gradient).max(axis=3)
        match self.fault:
            case "mates":
                return Maps(raw * batch.images.std())
            case "negative":
                return Maps(raw - raw.mean())
            case "noise":
                return Maps(raw * np.random.default_rng(batch.seed).uniform(1, 2, raw.shape[1:]))
            case "target":
                return Maps(raw * (1 + batch.targets[0]))
            case "lost":
                return Maps(raw[:1])
            case "infinite":
                return Maps(np.where(raw == raw.max(), np.inf, raw))
        return Maps(raw)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("mates", "differ"),
        ("negative", "negative"),
        ("noise", "depends on the seed"),
        ("target", "own target|turned"),
        ("infinite", "not finite"),
    ],
)
def test_the_suite_catches(fault: str, message: str) -> None:
    check_explainer(Faulty(), numpy_twin(dtype="float64"))
    with pytest.raises(ExplainerFault, match=message):
        check_explainer(Faulty(fault=fault), numpy_twin(dtype="float64"))


def test_a_map_too_few_is_an_error() -> None:
    from audit.errors import InputError

    with pytest.raises(InputError, match="for 5 images"):
        check_explainer(Faulty(fault="lost"), numpy_twin(dtype="float64"))
