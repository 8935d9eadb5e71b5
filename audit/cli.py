"""The command line, thin: each body imports what it needs when it runs.

Exit codes: 0 done, 1 a required rule failed (check), 2 usage or input, 3 incomplete or not settled, 4 integrity,
70 internal.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.cli_evidence import register
from audit.errors import FaircamError, InputError, nearest
from audit.trust import NOTHING, Trust

if TYPE_CHECKING:
    from audit.run import Run

__all__ = ["app", "main", "own"]

_INTERNAL = 70
_INCOMPLETE = 3
_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="faircam",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Audits image-classification CNNs in PyTorch and Keras: whom the model serves worse, with what "
    "certainty, and what it looks at when it decides.",
    epilog="Start with: [bold]faircam demo --out demo[/bold]",
)

Folder = Annotated[Path, typer.Option("--out", help="Folder to write; made if it is missing.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Follow import paths in the config. They are code; the run records it.")
]
TrustModel = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-model",
        metavar="sha256:HEX",
        help="Let the model file with this digest run code when it is loaded; may be repeated; the run records it.",
    ),
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from audit.version import __version__

        typer.echo(f"faircam {__version__}")
        raise typer.Exit


@app.command(epilog="Example: [bold]faircam demo --out demo[/bold]")
def demo(
    out: Folder = Path("demo"),
    seed: Annotated[int | None, typer.Option(help="Of the drawn images and the trainings.")] = None,
) -> None:
    """Do the whole job on built-in synthetic data: draw, train, audit, explain, report.

    Trains one network in every framework that is installed, on data with a planted bias and on a
    control without, and audits them. Needs no network. Takes some minutes on two cores.
    """
    from audit.console import Bars, say
    from audit.demo import run_demo

    with Bars() as bars:
        result = run_demo(out, seed=seed, progress=bars.update, say=say)
    for done, written in zip(result.runs, result.reports, strict=True):
        _tell(done)
        say(f"Report:     {written}")
    say(f"Dashboard:  faircam dashboard {out}")


@app.command(epilog="Example: [bold]faircam init my-audit[/bold], then edit my-audit/audit.yaml")
def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write into.")]) -> None:
    """Write a commented audit.yaml and policy.yaml for your own model and data."""
    from audit.console import say
    from audit.scaffold import write_scaffold

    for path in write_scaffold(folder):
        say(f"Wrote {path}")
    say(f"Next: edit them, then  faircam run {folder / 'audit.yaml'} --out runs/first --dry-run")


@app.command(epilog="Example: [bold]faircam methods integrated_gradients[/bold]")
def methods(
    name: Annotated[str | None, typer.Argument(metavar="METHOD", help="One method, with all it can be told.")] = None,
) -> None:
    """List the methods of explanation, for which models each is there, and its settings."""
    from audit.console import say
    from audit.explanations.catalogue import catalogue, described

    for line in catalogue() if name is None else described(name):
        say(line)


@app.command(epilog="Example: [bold]faircam train train.yaml --out models/plain[/bold]")
def train(
    config: Annotated[Path, typer.Argument(metavar="train.yaml", help="What to train, on what.")],
    out: Folder = Path("trained"),
) -> None:
    """Train the plain CNN (or the deeper one) and save model, history and learning curves."""
    from audit.config import TrainConfig, load_config
    from audit.console import Bars, say
    from audit.training.recipe import train as train_network

    settings = load_config(TrainConfig, config)
    if settings.framework == "keras":
        from audit.models.quiet import import_tensorflow

        import_tensorflow()
    with Bars() as bars:
        result = train_network(
            settings, config.parent, out, progress=lambda record: bars.epoch(settings.name, settings.epochs, record)
        )
    for note in result.notes:
        say(note)
    say(f"Model:   {out}")
    say(f"Curves:  {out / 'curves.svg'}")
    say(f"To audit it, copy the entry in {out / 'model.yaml'} into your audit.yaml")


@app.command(epilog="Example: [bold]faircam run audit.yaml --out runs/first[/bold]")
def run(
    config: Annotated[Path, typer.Argument(metavar="audit.yaml", help="What to audit, on what.")],
    out: Folder,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, estimate time, memory and disk, write nothing.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
    trust_code: TrustCode = False,
    trust_model: TrustModel = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N; overrides the config.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="DIR", help="Keep shards there by content; a later run takes over what it can."
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="local: processes of this machine; ray: a cluster.")
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Workers that hold each model; no number depends on it.")] = 1,
    address: Annotated[
        str | None, typer.Option("--address", help="Ray cluster, HOST:PORT or auto; left out, one is started here.")
    ] = None,
    read_ahead: Annotated[
        bool, typer.Option("--read-ahead/--no-read-ahead", help="Read images while the model is at work.")
    ] = True,
    image_seconds: Annotated[
        float, typer.Option(min=0.1, help="Longest that reading one image may take before it is listed and left out.")
    ] = 10.0,
) -> None:
    """Audit one or more models and write the run folder.

    Ctrl-C once stops after the shards at hand, twice at once; --resume goes on from there.
    """
    from audit.config import AuditConfig, load_config
    from audit.console import Bars, say
    from audit.engine.placement import Placement
    from audit.estimate import estimate
    from audit.pipeline import run_audit
    from audit.preflight import preflight

    settings = load_config(AuditConfig, config)
    if device is not None:
        execution = settings.execution.model_copy(update={"device": device})
        settings = settings.model_copy(update={"execution": execution})
    trust = Trust.given(trust_code, trust_model)
    checked = preflight(settings, config.parent)
    if dry_run:
        for line in estimate(checked, out, trust=trust, resume=resume):
            say(line)
        return
    placement = Placement(engine, workers, address, read_ahead, image_seconds)  # type: ignore[arg-type]  # checked there
    with Bars() as bars:
        done = run_audit(
            checked,
            out,
            resume=resume,
            trust=trust,
            progress=bars.update,
            cache=cache,
            placement=placement,
        )
    _tell(done)
    say(f"Next: faircam report {out}   or   faircam dashboard {out}")
    if not done.complete:
        raise typer.Exit(_INCOMPLETE)


@app.command(epilog="Example: [bold]faircam check runs/first --policy policy.yaml[/bold]")
def check(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    policy: Annotated[Path, typer.Option("--policy", help="Policy file to judge by.")],
    waivers: Annotated[Path | None, typer.Option("--waivers", help="File with signed waivers.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write the verdicts here, as JUnit XML.")] = None,
    summary: Annotated[
        Path | None, typer.Option("--summary", help="Also write them here as Markdown, for a page of CI.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep the verdicts in the run, under verdicts/.")] = False,
    day: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Day of evaluation; today by default.")
    ] = None,
) -> None:
    """Judge a finished run by a policy. Writes nothing into the run without --save.

    Exit code 0: every required rule passed, warns or is waived. 1: a required rule failed. 2: usage or
    input. 3: a required rule is inconclusive or in error, or the run is incomplete. 4: the run was changed.
    """
    from audit.findings import check_run, save_check, write_junit
    from audit.findings.shown import print_check
    from audit.findings.summary_markdown import write_markdown
    from audit.run import open_run

    when = (day or datetime.now()).date()  # the user's own calendar day
    checked = check_run(open_run(folder), policy, waivers=waivers, day=when)
    print_check(checked)
    if junit is not None:
        write_junit(checked, junit)
    if summary is not None:
        write_markdown(checked, summary)
    if save:
        from audit.console import say

        say(f"Saved: {save_check(checked)}")
    raise typer.Exit(checked.exit_code)


@app.command(epilog="Example: [bold]faircam report runs/first[/bold]")
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    format: Annotated[
        str, typer.Option("--format", help="html, pdf, md, json; or csv, junit, modelcard, mlbom: one document.")
    ] = "html",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; in the run's folder by default.")] = None,
    language: Annotated[str, typer.Option("--language", help="Of the report's own words: en or zh.")] = "en",
) -> None:
    """Write the report of a run as one self-contained file, or its claims, verdicts, model card or ML-BOM."""
    from audit.console import say
    from audit.run import open_run

    own("reports")
    from reports import write_report

    say(f"Report: {write_report(open_run(folder), out, format, language)}")


@app.command(epilog="Example: [bold]faircam dashboard runs[/bold]")
def dashboard(
    folder: Annotated[Path, typer.Argument(metavar="[RUNS_DIR]", help="A run folder, or a folder of them.")] = Path(),
    port: Annotated[int | None, typer.Option(help="Port; 8501 or a free one by default.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; one that others reach needs a login.")] = "127.0.0.1",
    allow_list: Annotated[
        Path | None, typer.Option("--allow-list", metavar="FILE", help="E-mail addresses of who may enter, one a line.")
    ] = None,
    secrets: Annotated[
        Path | None, typer.Option("--secrets", metavar="FILE", help="Settings of the login; .streamlit/secrets.toml.")
    ] = None,
    try_it: Annotated[
        bool, typer.Option("--try-it", help="Let an uploaded image be predicted and explained; on this machine only.")
    ] = False,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="With --try-it: run a model's own code.")] = False,
    trust_model: TrustModel = None,
) -> None:
    """Open the dashboard over finished runs: on this machine only, or with a login for those on a list."""
    own("dashboard")
    from dashboard import TryIt, launch, require_login

    trust = Trust.given(trust_code, trust_model)
    if trust != NOTHING and not try_it:
        raise InputError(
            "--trust-code and --trust-model alone mean nothing here", fix="add --try-it, whose models they are about"
        )
    login = require_login(host, allow_list, secrets)
    trial = TryIt(Path.cwd(), trust) if try_it else None
    raise typer.Exit(launch(folder, port, address=host, login=login, try_it=trial))


@app.command(epilog="Example: [bold]faircam compare runs/before runs/after --out before-after.html[/bold]")
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN [RUN ...]", help="One run folder or more.")],
    models: Annotated[
        tuple[str, str] | None, typer.Option("--models", help="Two models, before and after; first and others if left.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; comparison.html in the last run.")] = None,
    format: Annotated[str, typer.Option("--format", help="html, csv or md")] = "html",
    language: Annotated[str, typer.Option("--language", help="Of the report's own words: en or zh.")] = "en",
) -> None:
    """Compare two models, of one run or of several, image by image: what improved for whom, and what it cost."""
    from audit.console import paired_table, say
    from audit.run import open_run

    own("reports")
    from reports.comparison import check_format, compare_runs, write_comparison
    from reports.language import check_language

    check_format(format)
    check_language(language)
    pairs = compare_runs([open_run(folder) for folder in folders], models)
    for pair in pairs:
        paired_table(pair.title, pair.table)
    say(f"Comparison: {write_comparison(pairs, out, format, language)}")


@app.command(epilog="Example: [bold]faircam parity audit.yaml --first plain --second plain-keras[/bold]")
def parity(
    config: Annotated[Path, typer.Argument(metavar="audit.yaml", help="Names the models and the images.")],
    first: Annotated[str | None, typer.Option("--first", help="A model of the config.")] = None,
    second: Annotated[str | None, typer.Option("--second", help="The same network in another form.")] = None,
    backend_check: Annotated[
        str | None, typer.Option("--backend-check", help="A Keras model, to run on TensorFlow and on PyTorch.")
    ] = None,
    images: Annotated[int, typer.Option(help="How many images, spread evenly over the data.")] = 16,
    dtype: Annotated[str, typer.Option(help="float32; float64 proves that two forms are one network.")] = "float32",
    start: Annotated[
        str, typer.Option(help="Stage from which differences count: images, weights, outputs, scores, gradients, maps.")
    ] = "images",
    steps: Annotated[bool, typer.Option("--steps", help="Print every step, not a line a stage.")] = False,
    trust_code: TrustCode = False,
    trust_model: TrustModel = None,
) -> None:
    """Compare two forms of one network step by step, and name the first step that differs.

    Each runs in a process of its own. Exit code 0: they agree within the tolerances. 1: they differ. 3: not even the
    scores could be compared.
    """
    from audit.config import AuditConfig, load_config
    from audit.explanations.parity.shown import print_parity
    from audit.parity_command import EXIT_CODES, ParityRequest, run_parity

    request = ParityRequest.of(
        (first, second, backend_check),
        images=images,
        dtype=dtype,
        start=start,
        trust=Trust.given(trust_code, trust_model),
    )
    report = run_parity(load_config(AuditConfig, config), config.parent, request)
    print_parity(report, every_step=steps)
    raise typer.Exit(EXIT_CODES[report.status])


register(app)


def _tell(run: Run) -> None:
    """Say what a run found, and what did not make it."""
    from audit.console import findings_table, say, warn

    findings_table(run)
    problems = run.table("problems")
    for line in problems.drop_duplicates(["image_id", "status"]).head(5).itertuples():
        warn(f"{line.path}: {line.status} ({line.detail})")
    if len(problems) > 5:
        warn(f"... {len(problems)} problems in all: table `problems` of the run")
    if not run.complete:
        warn("the run is INCOMPLETE")
    say(f"Run:        {run.path}")


def own(package: str) -> None:
    """Make sure that a package of ours was not shadowed by a user's file of the same name."""
    import importlib.util

    found = importlib.util.find_spec(package)
    place = Path(found.origin).resolve().parent.parent if found and found.origin else None
    ours = Path(__file__).resolve().parent.parent
    if place != ours:
        raise InputError(
            f"Python finds another '{package}' at {found.origin if found else 'no place'}",
            fix=f"rename that file, or start faircam from another folder; ours is in {ours}",
        )


def main() -> None:
    """Run the command line; every expected error is one line and an exit code."""
    try:
        code = app(standalone_mode=False)
    except FaircamError as error:
        _stop(f"Error: {error}", error.exit_code)
    except Exception as error:  # everything else is a defect of ours or of the installation
        _handle(error)
    else:
        if code == _INTERRUPTED:
            _stop("Stopped. What a run had committed is kept: use --resume to go on.", _INCOMPLETE)
        raise SystemExit(code or 0)


def _handle(error: Exception) -> None:
    import os

    if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "format_message"):
        message = error.format_message()
        _stop(f"Error: {message}", 2, "Try: faircam --help")
    if isinstance(error, ModuleNotFoundError) and error.name:
        _stop(f"Error: the package '{error.name}' is not installed. Fix: {_extra_for(error.name)}", 2)
    if os.environ.get("FAIRCAM_TRACEBACK"):
        raise error
    if isinstance(error, OSError):
        mend = "mend the cause; a run keeps what it had committed and goes on with --resume"
        _stop(f"Error: {error}. Fix: {mend}", _INCOMPLETE)
    kind = type(error).__name__
    _stop(f"Internal error: {kind}: {error}", _INTERNAL, "Set FAIRCAM_TRACEBACK=1 to see where, and please report it.")


def _extra_for(module: str) -> str:
    extras = {
        "datasets": ("datasets",),
        "mlflow": ("mlflow", "sqlalchemy", "alembic"),
        "evidence": ("typst", "cyclonedx", "huggingface_hub", "cryptography", "rfc8785"),
        "torch": ("torch", "torchvision", "captum", "safetensors"),
        "tensorflow": ("tensorflow", "keras", "tf_explain", "cv2", "h5py"),
        "dashboard": ("streamlit", "plotly", "authlib", "httpx", "joserfc"),
        "ray": ("ray",),
    }
    names = {module.split(".")[0]: extra for extra, modules in extras.items() for module in modules}
    extra = names.get(module.split(".", maxsplit=1)[0])
    return f"pip install 'faircam[{extra}]'" if extra else f"pip install {module}{nearest(module, [])}"


def _stop(message: str, code: int, advice: str = "") -> None:
    """Say why on one line, which a name in it can neither break nor steer, and end."""
    from audit.terminal import legible

    sys.stdout.flush()
    sys.stderr.write("".join(f"{legible(line)}\n" for line in (message, advice) if line))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
