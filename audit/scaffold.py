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

  # A population to think of: the figures are also shown as they would be under that mix of groups.
  # population: {gender: {female: 0.51, male: 0.49}}

# The class of the binary criteria (true and false positive rate, selection rate). Never guessed.
# positive: smiling

models:
  - name: mine
    framework: torch            # torch, keras; onnx or callable for a black box, which has scores alone
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
    # The images it was trained on: can its losses tell them from others, and in which group (privacy)?
    # training_data: {manifest: images.csv, label: label, split: {column: split, keep: [train]}}

explanations:
  # `faircam methods` lists them. With settings: {name: integrated_gradients, steps: 32}
  methods: [saliency, gradient_x_input, grad_cam]
  target: predicted             # explain the predicted class, or: label
  sample: 200                   # images explained, spread over groups and outcomes; or: all

# Whether the maps are evidence: deletion, insertion, randomised weights and more, and a stamp for every method.
# quality: {sample: 64}

# Predictions with a region of data.regions hidden, and with equal areas elsewhere as a control, by group.
# interventions: {controls: 3, sample: 500}

# TCAV: does the concept that a group shows move the scores (PyTorch only)?
# concepts: [{name: glasses, attribute: glasses, group: "yes"}]

# What enters the last layer: errors that come in clusters nobody labelled, and whether the group can be read there.
# embeddings: {sample: all, dimensions: 256}

# Accuracy by group on corrupted copies. Severities 1 to 5.
# robustness: {corruptions: [noise, blur, jpeg, brightness, contrast], severities: [1, 3, 5], sample: 500}

# Named before the run, so that its verdicts count as preregistered.
policy: policy.yaml
seed: 0
"""

_POLICY = """\
# What is promised, written down before the results exist: its SHA-256 goes into the run's plan, and only
# verdicts by this very file count as preregistered. A change of a comma makes them post hoc.
# Judge again at any time:  faircam check runs/first --policy policy.yaml
name: my policy
approver: name and role           # who answers for the numbers below

rules:
  # A rule fails when the gap is SHOWN to exceed the tolerance, passes when it is SHOWN to lie within, and is
  # inconclusive otherwise, with the number of images that would settle it. "Shown" means that the interval
  # (95 %, both sides) lies there: an observed gap of 0.09 among 30 images shows nothing either way.
  - id: accuracy-by-gender
    metric: accuracy
    attribute: gender             # a column of data.groups; or an intersection: gender x ethnicity
    compare: range                # best minus worst group
    # Choose the tolerance by cost: what does one more wrong decision in a hundred do to the people concerned,
    # and what does it cost to mend? 0.05 means: at most five more in a hundred decided wrongly in the worst
    # group than in the best. It is a share, not a percentage. No law and no habit gives this number for you.
    tolerance: 0.05
    # warn: 0.03                  # a pass whose interval reaches past this is a warning
    # Groups with fewer clusters (people; images where there are no clusters) are listed, not judged: at
    # n = 10 the 95 % interval of a rate of 0.9 is 0.44 wide, at 20 it is 0.30, at 50 0.18. Their people are
    # still counted in the tables. `small_groups: block` makes the rule inconclusive while there is such a group.
    min_n: 20
    # small_groups: exclude_and_list
    # alpha: 0.05                 # both sides together; a claim of failure is wrong in at most half of it
    # power: 0.8                  # of the number of images that would settle an inconclusive rule
    # Claims of failure are corrected over the rules of a model (Holm): twelve rules whose true gaps sit just at
    # their tolerance would without it raise a false alarm in a quarter of all audits. That all required rules
    # pass needs no correction: every one of them has to be shown.
    correction: holm              # or none. Benjamini-Hochberg is refused: it is for exploring
    # required: not certified unless it passes; inconclusive is not a pass. supporting: a failure is a
    # warning. informational: shown, counts for nothing.
    tier: required
    rationale: why this rule, why this number

  # A missed smile costs the same whoever smiles: equal opportunity for the class that matters.
  # - id: smiles-found-by-gender
  #   metric: true_positive_rate
  #   class: smiling              # or declare `positive` in audit.yaml
  #   attribute: gender
  #   compare: range
  #   tolerance: 0.10
  #   tier: required
  #   rationale: a missed smile costs the same whoever smiles

  # Both kinds of error at once: the larger of the gaps in true and in false positive rate. Use it where a
  # false alarm hurts as much as a miss; two rules, one a rate, say more where they do not.
  # - {id: errors-by-gender, metric: equalised_odds, class: smiling, attribute: gender, compare: range,
  #    tolerance: 0.10, tier: supporting}

  # Where the classes are mixed differently in the groups (more smiling photographs of one than of another),
  # plain accuracy differs even for a model that treats every class alike. Weighing all groups by one class
  # mix takes that out. It needs images of every class in every group.
  # - {id: same-classes-by-gender, metric: standardised_accuracy, attribute: gender, compare: range,
  #    tolerance: 0.05, tier: supporting}

  # Nobody below a level, however alike the groups are. A floor looks at each group for itself.
  # - {id: nobody-below, metric: accuracy, attribute: gender, compare: floor, tolerance: 0.80, tier: required}

  # Four-fifths of the selection rates, for those who are bound to it. The observed ratio alone is no test: of
  # six groups of 200 that are selected alike at a rate of 0.1, it calls 97 in 100 audits unequal. Judged by
  # interval it fails only what is shown; `judge: point` judges the bare number, and every finding says so.
  # - {id: selection-by-gender, metric: selection_rate, class: smiling, attribute: gender, compare: ratio,
  #    tolerance: 0.80, tier: informational}

  # compare may also be: reference (worst group against `reference: NAME`, best, or overall) and overall
  # (worst group against everybody else). Every key is described in docs/policy.md.

# A finding that has to stand for a while is waived in a file of its own, so that this one keeps its hash:
#   faircam check runs/first --policy policy.yaml --waivers waivers.yaml
#   - rule: accuracy-by-gender
#     signed_by: name and role
#     reason: new images of men are being collected
#     created: 2027-01-10
#     expires: 2027-03-31         # last day; then the rule counts again
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
