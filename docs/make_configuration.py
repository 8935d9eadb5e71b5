"""Write configuration.md from the pydantic models, so that page and program cannot differ."""

from __future__ import annotations

import re
from pathlib import Path

import audit.config as config
from audit.config_data import TorchvisionConfig
from audit.explanations import explainers

SECTIONS = {
    "audit.yaml": config.AuditConfig,
    "data": config.DataConfig,
    "data.groups": config.AttributeConfig,
    "data.regions": config.RegionsConfig,
    "data.split": config.SplitConfig,
    "data.torchvision": TorchvisionConfig,
    "models": config.ModelConfig,
    "preprocessing": config.Preprocessing,
    "explanations": config.ExplanationsConfig,
    "quality": config.QualityConfig,
    "interventions": config.InterventionsConfig,
    "concepts": config.ConceptConfig,
    "embeddings": config.EmbeddingsConfig,
    "robustness": config.RobustnessConfig,
    "execution": config.ExecutionConfig,
    "train.yaml": config.TrainConfig,
    "validation": config.ValidationConfig,
    "network": config.NetworkConfig,
    "optimiser": config.OptimiserConfig,
    "augmentation": config.Augmentation,
}
HEAD = """# Configuration

Every key of `audit.yaml` and `train.yaml`. Paths are relative to the file. An unknown key is an error that suggests the
right one. `faircam init DIR` writes a commented example. This page is made by `docs/make_configuration.py`.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(section(name, kind) for name, kind in SECTIONS.items()) + methods()


def methods() -> str:
    """What each method of explanation is, and its settings."""
    parts = ["\n## Methods of explanation\n\nNamed under `explanations.methods`, alone or as `{name: NAME, SETTING: VALUE}`.\n"]
    for name, method in explainers().items():
        where = " and ".join(sorted(method.frameworks)) if method.frameworks else "every model"
        needs = ", ".join(sorted(method.needs))
        parts.append(f"\n### `{name}`\n\n{method.title}, by {method.provider}; {where} with {needs}. {method.definition}.\n")
        if method.model_fields:
            rows = [f"| `{key}` | {allowed(field)} | {default(field)} | {field.description or ''} |" for key, field in method.model_fields.items()]
            parts.append("\n| setting | value | default | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def section(name: str, kind: type[config.Section]) -> str:
    """Heading, summary and table of one section."""
    summary = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    rows = [f"| `{key}` | {allowed(field)} | {default(field)} | {field.description or ''} |" for key, field in kind.model_fields.items()]
    return f"\n## `{name}`\n\n{summary}\n\n| key | value | default | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def allowed(field: object) -> str:
    """The annotation in words."""
    text = str(field.annotation)
    text = re.sub(r"<class '([\w.]+)'>", r"\1", text)
    text = re.sub(r"audit\.config\w*\.", "", text.replace("typing.", "")).replace("NoneType", "None")
    text = re.sub(r"Literal\[([^\]]*)\]", lambda found: found.group(1).replace("'", "").replace(", ", " or "), text)
    text = re.sub(r"Annotated\[(.*?), .*\]", r"\1", text)
    return f"`{text.replace(' | None', '').replace('|', 'or')}`"


def default(field: object) -> str:
    """What holds when the key is left out."""
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value == () or value == {} or value == "":
        return ""
    if isinstance(value, config.Section):
        return "its defaults"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    Path(__file__).with_name("configuration.md").write_text(page(), encoding="utf-8")
