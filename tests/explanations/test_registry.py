"""Methods by name: settings that are wrong, models that a method cannot serve, methods that are added."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field

from audit.errors import ConfigError, InputError, ModelError
from audit.explanations import Batch, Explainer, Maps, build, explainers, register, registry
from audit.models.callable_adapter import CallableAdapter
from tests.models.twins import images, numpy_twin


def test_a_name_or_a_name_with_settings() -> None:
    found = build(["saliency", {"name": "rise", "masks": 12}])
    assert list(found) == ["saliency", "rise"]
    assert found["rise"].model_dump() == {"masks": 12, "cells": 7, "share": 0.5, "fill": "zero"}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["gradcam"], r"method 'gradcam' is unknown, allowed: saliency, .*\. Did you mean 'grad_cam'\?"),
        ([{"steps": 3}], "method 'None' is unknown"),
        ([{"name": "rise", "mask": 3}], r"explanations.methods.rise: unknown key 'mask'; .*Did you mean 'masks'\?"),
        ([{"name": "rise", "share": 1.0}], "'share': Input should be less than 1 .got 1.0."),
        ([{"name": "occlusion", "window": 0}], "'window': Input should be greater than or equal to 1 .got 0."),
        (
            [{"name": "occlusion", "fill": "meen"}],
            r"'fill' is 'meen', allowed: mean, zero\. Did you mean 'mean'\?",
        ),
        ([{"name": "smooth_grad", "copies": "many"}], "'copies': Input should be a valid integer"),
        ([{"name": "saliency", "abs": True}], "unknown key 'abs'"),
        (["rise", {"name": "rise", "masks": 5}], "method 'rise' is given twice"),
    ],
)
def test_what_is_wrong_is_named(methods: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(methods)


def test_every_method_says_what_it_is() -> None:
    ours = {name: method for name, method in explainers().items() if method.__module__.startswith("audit.")}
    assert len(ours) > 20
    for name, method in ours.items():
        assert method.name == name
        assert method.title
        assert len(method.definition) > 40
        assert method.provider in ("faircam", "captum", "tf-explain")
        assert method.__doc__
        assert method().least(numpy_twin().spec) >= 0
        assert all(field.description for field in method.model_fields.values())
        assert method.needs_layer or not method.cams
    titles = [method.title for method in ours.values()]
    assert len(set(titles)) == len(titles)


def box() -> CallableAdapter:
    return CallableAdapter(lambda batch: batch.mean(axis=(1, 2)), classes=("a", "b", "c"), input_shape=(6, 5, 3))


def test_a_method_that_the_model_cannot_serve_is_refused() -> None:
    batch = Batch.of(box(), images(2), "predicted")
    served = [name for name, method in explainers().items() if method().refusal(box().spec) is None]
    assert {"occlusion", "rise"} <= set(served)
    reasons = {
        "saliency": "Saliency needs gradients, which the model does not give",
        "grad_cam": "Grad-CAM needs gradients and layers, which the model does not give",
        "score_cam": "Score-CAM needs layers, which the model does not give",
        "integrated_gradients": "Integrated gradients needs gradients, which the model does not give",
        "deep_lift": "there is a sound implementation of DeepLift for torch only, the model is callable",
        "lime": "there is a sound implementation of LIME for torch only, the model is callable",
    }
    for name, reason in reasons.items():
        assert name not in served
        with pytest.raises(ModelError) as refused:
            explainers()[name]().explain_or_refuse(batch)
        assert refused.value.what == reason


def test_a_model_without_a_spatial_layer_has_no_class_activation_maps() -> None:
    spec = replace(numpy_twin().spec, layer=None)
    for name in ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam", "score_cam"):
        reason = explainers()[name]().refusal(spec)
        assert reason is not None
        assert reason.endswith("needs a layer with a spatial output, and the model has none")
    assert explainers()["saliency"]().refusal(spec) is None


def test_captum_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(numpy_twin().spec, framework="torch")
    monkeypatch.setattr("audit.explanations.captum_methods.find_spec", lambda _name: None)
    assert explainers()["lrp"]().refusal(spec) == "LRP is computed by captum, which is not installed"


class Centre(Explainer):
    """Looks at the middle, whatever the model."""

    name: ClassVar = "centre"
    title: ClassVar = "Centre"
    definition: ClassVar = "a blob in the middle of the image, whatever the model says of it"
    needs: ClassVar = frozenset({"scores"})

    width: int = Field(default=1, ge=1, description="Width.")

    def explain(self, batch: Batch) -> Maps:
        raw = np.zeros(batch.images.shape[:3])
        raw[:, 3, 2] = self.width
        return Maps(raw)


class Flat(Centre):
    name: ClassVar = "flat"

    def explain(self, batch: Batch) -> Maps:
        return Maps(np.zeros(batch.images.shape[1:3]))


def test_a_method_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ADDED", {})
    assert register(Centre) is Centre
    assert register(Centre) is Centre  # once more does no harm
    found = build([{"name": "centre", "width": 4}])["centre"].explain_or_refuse(Batch.of(box(), images(2), "predicted"))
    assert found.raw.sum(axis=(1, 2)).tolist() == [4, 4]
    taken = type("Taken", (Centre,), {"name": "saliency", "__module__": __name__})
    with pytest.raises(InputError, match="a method named 'saliency' exists already.*give yours another name"):
        register(taken)


def test_a_map_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"method 'flat' gave maps of shape \(6, 5\) for 2 images, expected \(N, h, w"):
        Flat().explain_or_refuse(Batch.of(box(), images(2), "predicted"))


def test_an_entry_point_adds_a_method_and_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{__name__}:Centre"
    points = [EntryPoint(name, place, registry.ENTRY_POINTS) for name in ("centre", "saliency")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINTS else [])
    registry._installed.cache_clear()
    try:
        assert explainers()["centre"].title == "Centre"
        assert explainers()["saliency"].title == "Saliency"
    finally:
        registry._installed.cache_clear()
