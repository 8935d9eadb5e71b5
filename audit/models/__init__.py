"""Models behind one seam: the adapter protocol, one module per framework, safe loading.

Nothing here imports a framework; the modules that own one are imported when a model needs them.
"""

from audit.models.adapter import GradientPass, LayerInfo, LayerPass, ModelAdapter, ModelSpec

__all__ = ["GradientPass", "LayerInfo", "LayerPass", "ModelAdapter", "ModelSpec"]
