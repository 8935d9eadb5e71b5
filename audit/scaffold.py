"""The commented configuration files that `faircam init` writes."""

from __future__ import annotations

from pathlib import Path

from audit.errors import InputError

__all__ = ["write_scaffold"]

_AUDIT = """\
# What to audit, on what. Paths are relative to this file. A misspelt key is an error, not ignored.
# Check it without writing anything:  faircam run audit.yaml --out runs/first --dry-run
name: my audit

data:
  # CSV or Parquet, one row an image. Instead: image_folder: DIR with one folder a class, and
  # attributes_table: FILE with a column `image` for the groups.
  manifest: images.csv
  image: image                  # column with the image's path, relative to `root`
  # root: photos                # folder of the images; the manifest's own by default
  label: label                  # column with the true class

  # The groups to compare, and how their labels were obtained; reports repeat it. One of
  # self-reported, perceived, inferred, measured, by construction, not stated.
  groups:
    - {column: gender, provenance: self-reported}
    # - {column: age, bins: [30, 50], provenance: self-reported}    # numeric: cut at these edges
  # intersections: [[gender, ethnicity]]

  # Column of the person or thing, where several images show the same one. Images of one person
  # are not independent; leaving this out would make the intervals too narrow.
  # cluster: person

  # Label maps (single-channel PNG) that say which pixel belongs to what, for shares of attribution.
  # regions: {column: regions, names: {1: face, 2: background}, should_not_matter: [background]}

  # Audit only these rows.
  # split: {column: split, keep: [test]}

# The class of the binary criteria (true and false positive rate, selection rate). Never guessed.
# positive: smiling

models:
  - name: mine
    framework: torch            # torch or keras
    # torch: a registered name (plain_cnn, deep_cnn), torchvision:resnet18, or your.module:factory,
    # which is code and needs --trust-code. Weights: safetensors, or a state dict (.pt).
    architecture: torchvision:resnet18
    arguments: {num_classes: 2}
    weights: mine.safetensors
    # keras: the file instead
    # path: mine.keras
    preprocessing:              # exactly what the model was trained with; recorded in the run
      shorter_side: 256
      crop: [224, 224]
      mode: RGB
      resize: bilinear
      scale: [0, 1]             # what bytes 0 and 255 become; then (x - mean) / std
      mean: [0.485, 0.456, 0.406]
      std: [0.229, 0.224, 0.225]
    classes: [other, smiling]   # the model's own classes in output order
    # outputs: {smiling: [happy], other: rest}    # where they are not the data's labels
    # head: softmax             # or sigmoid
    # layer: layer4             # for Grad-CAM; found when left out

explanations:
  methods: [saliency, gradient_x_input, grad_cam]
  target: predicted             # explain the predicted class, or: label
  sample: 200                   # images explained, spread over groups and outcomes; or: all

# Named before the run, so that its verdicts count as preregistered.
policy: policy.yaml
seed: 0
"""

_POLICY = """\
# What is promised, written down before the results exist. Its hash goes into the run.
name: my policy
approver: name and role

rules:
  # A rule fails when the gap is shown to exceed the tolerance, passes when it is shown to lie
  # within, and is inconclusive otherwise, with the number of images that would settle it.
  - id: accuracy-by-gender
    metric: accuracy
    attribute: gender
    compare: range              # largest minus smallest group value
    # Choose the tolerance by what a difference costs the people concerned. 0.05 means: five more
    # in a hundred images decided wrongly in the worst group than in the best.
    tolerance: 0.05
    min_n: 20                   # smaller groups are listed, not judged
    correction: holm            # over all rules of a model
    tier: required              # required, supporting or informational
    rationale: why this rule, why this number
  # - id: smiles-found-by-gender
  #   metric: true_positive_rate
  #   class: smiling
  #   attribute: gender
  #   compare: range
  #   tolerance: 0.10
  #   tier: required
  #   rationale: a missed smile costs the same whoever smiles
"""


def write_scaffold(folder: Path) -> list[Path]:
    """Write `audit.yaml` and `policy.yaml`; both or neither.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        One of them exists already.
    """
    files = {folder / "audit.yaml": _AUDIT, folder / "policy.yaml": _POLICY}
    for path in files:
        if path.exists():
            raise InputError("exists already", where=str(path), fix="move it away, or name another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=str(folder), fix="name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)
