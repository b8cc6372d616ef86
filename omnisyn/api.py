"""Every command as a typed function of the same name: `omnisyn.synthesize(...)`.

Nothing heavy is imported before a function needs it. The functions print nothing and keep no state;
what a command line would print reaches the callbacks `note` (things worth knowing), `result` (paths
as they are written) and `progress`. Whatever a caller can mend is raised as a class of
`omnisyn.errors`: UsageError (an unknown name, contrast, device or precision), InputError (missing
or damaged input, existing output), ModelError (missing or damaged weights and runs), ResourceError
(memory, disk, permission, network).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

from omnisyn.errors import UsageError
from omnisyn.listeners import Note, Progress, labelled, unheard, unwatched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omnisyn.comparison.write import ComparisonReport
    from omnisyn.evaluation.report.write import Report
    from omnisyn.evaluation.results import Evaluation
    from omnisyn.inference.embedding_file import PatientEmbedding
    from omnisyn.inference.request import Output
    from omnisyn.models.hub.pull import PulledWeights
    from omnisyn.models.hub.push import PushedWeights
    from omnisyn.models.weights import TrainedEncoder
    from omnisyn.preparation.options import PrepareOptions
    from omnisyn.preparation.plan import SitePlan
    from omnisyn.preparation.prepare import PrepareSummary
    from omnisyn.studies.site import DataRoot, Site
    from omnisyn.training.run import Precision, RunResult
    from omnisyn.volumes.inspection import Inspected
    from omnisyn.volumes.options import ReadOptions
    from omnisyn.volumes.volume import Volume


def synthesize(
    sources: Sequence[str | Path],
    targets: Sequence[str] = (),
    output: str | Path = "omnisyn-out",
    *,
    prompt: str | None = None,
    echo_time_ms: float | None = None,
    repetition_time_ms: float | None = None,
    inversion_time_ms: float | None = None,
    field_tesla: float | None = None,
    fat_suppressed: bool = False,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "float32",
    preview: bool = False,
    uncertainty: bool = False,
    truth: Mapping[str, str | Path] | None = None,
    match_source: bool = False,
    series: Sequence[str] = (),
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    reading: ReadOptions | None = None,
    format: Literal["nifti", "dicom"] = "nifti",
    anonymize: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    fail_fast: bool = False,
    cache_dir: Path | None = None,
    note: Note = unheard,
    result: Note = unheard,
    progress: Progress = unwatched,
) -> list[Output]:
    """Make the missing contrasts of one or many patients, on each scan's own grid.

    Args:
        sources: files, DICOM folders or folders of patients; `T1=path` says a contrast.
        targets: contrast names, or `all` for every one that is not a source; with a prompt one, or
            none where the prompt names it.
        output: folder for the volumes, sidecars and previews.
        prompt: what the target is to be, in words, in place of the five that follow.
        echo_time_ms, repetition_time_ms, inversion_time_ms: TE, TR and TI, in ms, that the targets
            are to look as if acquired with.
        field_tesla: the same of the field strength.
        fat_suppressed: make them with suppressed fat.
        weights: name, path or address on the hub (`hf-hub:ORG/NAME[@REVISION][#sha256=HASH]`); by
            default the shipped set.
        device: auto, cpu, cuda, cuda:N or mps; only auto may fall back.
        precision: float32, bfloat16 or float16.
        uncertainty: write a map of the expected absolute error beside each volume.
        truth: real volumes by target name, for the preview only.
        match_source: values on the first source's scale instead of [0, 1].
        series: of the one DICOM folder that is given: number ("7", "7.2"), UID or description;
            each becomes a source.
        subjects: labels of the subjects to take, with `sub-` or without; by default all.
        sessions: labels of the sessions to take, with `ses-` or without; by default all.
        reading: what may be read although it is refused by default (`ReadOptions`).
        format: `dicom` writes a derived series, built on the headers of a DICOM source.
        anonymize: take the patient out of the DICOM output (basic profile).
        skip_existing: leave results alone whose hashes match those of sources and weights.
        fail_fast: stop at the first patient that fails.
        cache_dir: where weights from the hub are kept.

    Anything but `fat_suppressed` takes weights that have a text tower, else it is a ModelError.

    Raises:
        PartialFailure: some of several patients failed; the others are written.
    """
    from omnisyn.inference.asked import Asked
    from omnisyn.inference.batch import check_request, run_batch
    from omnisyn.inference.patients import without_folders
    from omnisyn.inference.request import Request
    from omnisyn.inference.synthesizer import Synthesizer
    from omnisyn.models.clip.texts import Acquisition
    from omnisyn.volumes.options import ReadOptions

    pseudonyms = None
    if anonymize:
        from omnisyn.volumes.dicom_anonymize import Pseudonyms

        pseudonyms = Pseudonyms()
    asked = Asked(
        Acquisition(
            fat_suppressed, repetition_time_ms, echo_time_ms, inversion_time_ms, field_tesla
        ),
        prompt,
    )
    request = Request(
        targets=asked.targets(targets),
        output=Path(output),
        asked=asked,
        preview=preview,
        uncertainty=uncertainty,
        truth={name: Path(path) for name, path in (truth or {}).items()},
        match_source=match_source,
        series=tuple(series),
        subjects=tuple(subjects),
        sessions=tuple(sessions),
        reading=reading or ReadOptions(),
        format=format,
        pseudonyms=pseudonyms,
        overwrite=overwrite,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        source_names=() if anonymize else tuple(without_folders(source) for source in sources),
        model_asked_for={
            "Weights": None if weights is None else _address(weights),
            "Device": device,
            "Precision": precision,
        },
    )
    patients = check_request(sources, request)
    return run_batch(
        patients,
        request,
        lambda: Synthesizer.load(weights, device, precision, cache=cache_dir, note=note),
        note=note,
        result=result,
        progress=progress,
    )


def _address(weights: str | Path) -> str:
    """What may be written down about where weights came from."""
    from omnisyn.models.hub.address import is_hub_address

    return str(weights) if is_hub_address(str(weights)) else Path(weights).name


def embed(
    sources: Sequence[str | Path],
    out: str | Path = "omnisyn-embeddings",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "float32",
    patient: str | None = None,
    series: Sequence[str] = (),
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    reading: ReadOptions | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    fail_fast: bool = False,
    cache_dir: Path | None = None,
    note: Note = unheard,
    result: Note = unheard,
    progress: Progress = unwatched,
) -> list[PatientEmbedding]:
    """Write the encoder's features of the scans of one or many patients, one file a patient.

    Args:
        out: folder for the files, or NAME.safetensors for the file of one patient.
        weights: as in `synthesize`, or the folder of a finished pretrain run.
        patient: what the one patient is called in the file; by default its folder or name.

    The rest is as in `synthesize`.

    Raises:
        PartialFailure: some of several patients failed; the others are written.
    """
    from omnisyn.inference.batch import check_request
    from omnisyn.inference.embed import run_embed
    from omnisyn.inference.embedder import Embedder
    from omnisyn.inference.request import Request
    from omnisyn.volumes.options import ReadOptions

    request = Request(
        targets=(),
        output=Path(out),
        series=tuple(series),
        subjects=tuple(subjects),
        sessions=tuple(sessions),
        reading=reading or ReadOptions(),
        overwrite=overwrite,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
    )
    return run_embed(
        check_request(sources, request),
        request,
        lambda: Embedder.of(_trained_encoder(weights, cache_dir), device, precision, note),
        identifier=patient,
        note=note,
        result=result,
        progress=progress,
    )


def read_embedding(path: str | Path) -> PatientEmbedding:
    """What `embed` wrote of a patient.

    Raises:
        InputError: the file is missing, damaged or another one.
    """
    from omnisyn.inference.embedding_file import read_embedding as read

    return read(Path(path))


def _trained_encoder(weights: str | Path | None, cache: Path | None) -> TrainedEncoder:
    """That of a set of weights or of a pretrain run, which holds nothing else."""
    from omnisyn.models.weights import load_weights
    from omnisyn.training.artefacts import load_encoder
    from omnisyn.training.run import RunFolder

    if weights is not None:
        run = RunFolder(Path(weights))
        if run.record().get("stage") == "pretrain":
            return load_encoder(run.final)
    return load_weights(weights, cache).encoder


def inspect(path: str | Path) -> list[Inspected]:
    """Say what a file or folder holds, what is odd about it and what would be refused, and why.

    Every NIfTI file and every DICOM series below a folder is read with all checks; nothing is
    written. What cannot be read is an entry with its fault, not an exception.

    Raises:
        InputError: there is nothing of the kind at `path`.
    """
    from omnisyn.volumes.inspection import inspect as inspect_path

    return inspect_path(Path(path))


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` found (`evaluation`, with the cases that failed) and wrote (`report`)."""

    evaluation: Evaluation
    report: Report


def evaluate(
    sites: Sequence[str],
    *,
    data: str | Path | None = None,
    out: str | Path = "omnisyn-evaluation",
    predictions: str | Path | None = None,
    several_sources: bool = False,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "float32",
    overwrite: bool = False,
    cache_dir: Path | None = None,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> Evaluated:
    """Score synthesis on whole sites, in every direction, beside its controls.

    Args:
        sites: names of sites, roles (train, internal, external) or `all`.
        data: a data root; else `OMNISYN_DATA`, else the embedded simulation.
        out: folder for `patients.tsv`, `summary.json` and `report.html`.
        predictions: a folder of anybody's volumes to score, instead of our model.
        several_sources: score "all the others → target" as well.
        cache_dir: where the embedded simulation is kept.
    """
    import numpy as np

    from omnisyn.evaluation.predictions import PredictionFolder
    from omnisyn.evaluation.report import write as files
    from omnisyn.evaluation.results import Evaluation
    from omnisyn.evaluation.scoring import Predict, evaluate_site
    from omnisyn.inference.sidecar import versions
    from omnisyn.volumes.atomic import output_folder, refuse_existing

    folder = Path(out)
    for name in (files.TSV_FILE, files.JSON_FILE, files.HTML_FILE):
        refuse_existing(folder / name, overwrite=overwrite)
    chosen = _select_sites(sites, data, cache_dir, note, progress)
    judged: Predict | PredictionFolder
    details = {f"version of {name}": version for name, version in versions().items()}
    if predictions is not None:
        judged = PredictionFolder(Path(predictions), [site.name for site in chosen])
        subject = f"predictions in the folder {Path(predictions).name}"
    else:
        from omnisyn.inference.synthesizer import Synthesizer

        synthesizer = Synthesizer.load(weights, device, precision, cache=cache_dir, note=note)
        identity = synthesizer.identity
        subject = f"weights {identity.name}"
        details |= {
            "SHA-256 of the weights": identity.sha256,
            "device": identity.device,
            "precision": identity.precision,
        }

        def judged(volumes: Mapping[str, Volume], target: str) -> NDArray[np.float32]:
            return synthesizer.synthesize(volumes, [target])[target]

    # Made before the work, so that a folder that cannot be made is known at once.
    with output_folder(folder):
        scores = tuple(
            evaluate_site(
                site,
                judged,
                several_sources=several_sources,
                progress=labelled(progress, f"site {number}/{len(chosen)} {site.name}: "),
            )
            for number, site in enumerate(chosen, start=1)
        )
        evaluation = Evaluation(subject, scores, details)
        drawn = np.random.default_rng(0)
        report = files.write_report(evaluation, folder, drawn, overwrite=overwrite)
    return Evaluated(evaluation, report)


def simulate(
    cohort: str | Path,
    out: str | Path,
    *,
    sites: Sequence[str] | None = None,
    label_maps: Sequence[str | Path] = (),
    patients: int | None = None,
    format: Literal["nifti", "dicom"] = "nifti",
    seed: int | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> list[Path]:
    """Write simulated sites, or with the cohort `example` one patient to try `synthesize` on.

    Args:
        cohort: `demo`, `hospitals`, `anywhere`, the path of a cohort's TOML file, or `example`.
        out: the data root; for `example` the patient's folder.
        sites: only these sites of the cohort, by name or role; all by default.
        label_maps: folders of label maps from which heads are made, in place of the procedural
            head.
        patients: so many a site, in place of the cohort's numbers.
        format: `dicom` for folders of DICOM as hospitals send them, which `prepare` makes sites of;
            then the training hospitals are the default.
        seed: other patients than those of the cohort's own seed.
        device: where to compute: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The folders of the sites or hospitals; for `example` the files.
    """
    from omnisyn.models.device import choose_device
    from omnisyn.simulate.arrivals import write_arrivals
    from omnisyn.simulate.cohort import load_cohort, simulate_cohort
    from omnisyn.simulate.example import write_example
    from omnisyn.simulate.label_maps import open_label_maps

    if str(cohort) == "example":
        if sites is not None or patients is not None or seed is not None or label_maps:
            raise UsageError(
                "the example is always the same patient", remedy="leave --site, --seed … away"
            )
        if format != "nifti":
            raise UsageError("the example is written as NIfTI", remedy="leave --format away")
        return write_example(Path(out), truth=True, overwrite=overwrite)
    write = write_arrivals if format == "dicom" else simulate_cohort
    written = write(
        load_cohort(cohort),
        Path(out),
        sites=sites,
        patients=patients,
        seed=seed,
        device=choose_device(device, note),
        anatomy=open_label_maps([Path(folder) for folder in label_maps]) if label_maps else None,
        progress=progress,
        overwrite=overwrite,
    )
    return [place.path for place in written]


class PreparationOptions(TypedDict, total=False):
    """How sites are made: the fields of `omnisyn.preparation.options.PrepareOptions`, which says
    what each does and has the defaults; here paths may be strings, and lists will do."""

    role: str | None
    scanner: str | None
    hospital: str | None
    credit: str | None
    instructions: str | Path | None
    subjects: Sequence[str]
    sessions: Sequence[str]
    reference: str
    transform: str
    registration: str
    bias_correction: bool
    brain_mask: str | None
    brain_atlases: Sequence[str | Path]
    jobs: int | None
    overwrite: bool


def prepare(
    source: str | Path,
    out: str | Path | None = None,
    *,
    note: Note = unheard,
    progress: Progress = unwatched,
    **options: Unpack[PreparationOptions],
) -> list[PrepareSummary]:
    """Make sites of a hospital's folders, or the cache of a site.

    Args:
        source: folders of patients in any arrangement (NIfTI, DICOM, slices as pictures), the
            unpacked public dataset, or a site of our own form, whose cache is built in place.
        out: the site to be made, ROOT/SITE, whose last part is its name; where the source's
            `prepare.toml` names several sites, the root.
        options: see `PreparationOptions`.

    Returns:
        One summary a site; its `failed` are the patients that are not in it.
    """
    from omnisyn.preparation.prepare import prepare as prepare_sites

    return prepare_sites(
        Path(source),
        None if out is None else Path(out),
        _preparation(options),
        note=note,
        progress=progress,
    )


def plan_preparation(
    source: str | Path,
    out: str | Path | None,
    *,
    progress: Progress = unwatched,
    **options: Unpack[PreparationOptions],
) -> list[SitePlan]:
    """Say what `prepare` would make of a source, from names and headers alone; nothing is written.

    Arguments as in `prepare`.
    """
    from omnisyn.preparation.plan import plan as plan_sites

    return plan_sites(
        Path(source),
        None if out is None else Path(out),
        _preparation(options),
        progress=progress,
    )


def _preparation(options: PreparationOptions) -> PrepareOptions:
    from omnisyn.preparation.options import PrepareOptions

    given: dict[str, Any] = dict(options)
    if given.get("instructions") is not None:
        given["instructions"] = Path(given["instructions"])
    for name in ("subjects", "sessions"):
        given[name] = tuple(given.get(name, ()))
    given["brain_atlases"] = tuple(Path(path) for path in given.get("brain_atlases", ()))
    return PrepareOptions(**given)


def fetch(
    dataset: str,
    out: str | Path,
    *,
    archive: str | Path | None = None,
    address: str | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> PrepareSummary:
    """Download a public dataset, check it, and make a site of it.

    Args:
        dataset: `external2`, the public NPC dataset (Zenodo record 13131827, CC BY 4.0).
        out: the site, ROOT/external2.
        archive: the dataset's archive, brought by hand; nothing is downloaded then.
        address: of a mirror that answers as Zenodo does.
        jobs: patients at once; by default one a core.

    Returns:
        What `prepare` says; its `failed` are the patients that are not in the site.
    """
    from omnisyn.preparation.fetch.external2 import fetch_external2
    from omnisyn.preparation.fetch.zenodo import ZENODO
    from omnisyn.preparation.options import PrepareOptions
    from omnisyn.studies.site import PUBLIC_SITE

    if dataset != PUBLIC_SITE:
        raise UsageError(f"unknown dataset '{dataset}'", remedy=f"use {PUBLIC_SITE}")
    return fetch_external2(
        Path(out),
        PrepareOptions(jobs=jobs, overwrite=overwrite),
        archive=None if archive is None else Path(archive),
        address=address or ZENODO,
        note=note,
        progress=progress,
    )


class TrainingOptions(TypedDict, total=False):
    """What the three stages are told: the fields of `omnisyn.training.run.RunOptions`, which says
    what each does and has the defaults; here paths may be strings too."""

    recipe: str | Path | None
    data: str | Path | None
    label_maps: Sequence[str | Path]
    out: str | Path | None
    init: Sequence[str]
    seed: int
    device: str
    precision: str
    max_steps: int | None
    max_time: float | None
    resume: str
    save_every: int | None


def pretrain(
    *,
    objective: str | None = None,
    note: Note | None = None,
    **options: Unpack[TrainingOptions],
) -> RunResult:
    """Stage 1: train the contrast-invariant encoder.

    Args:
        objective: contrastive or brainmvp; by default the recipe's.
        note: hears one line at a time; by default stderr does.
        options: see `TrainingOptions`.

    Raises:
        SystemExit: 143 after SIGTERM, when the checkpoint is written.
    """
    return _train("pretrain", note, options, objective=objective)


def align(
    *,
    clip_weights: str | None = None,
    objective: str | None = None,
    note: Note | None = None,
    **options: Unpack[TrainingOptions],
) -> RunResult:
    """Stage 2: bring the texts and the images of the contrasts into one space.

    Args:
        clip_weights: what recipe `paper` starts from: a tag of open_clip such as `openai`,
            `hf-hub:…` or a path.
        objective: `class` or `contrastive`; by default the recipe's.

    The rest is as in `pretrain`.
    """
    return _train("align", note, options, clip_weights=clip_weights, objective=objective)


def finetune(
    *,
    adversarial: bool = False,
    note: Note | None = None,
    **options: Unpack[TrainingOptions],
) -> RunResult:
    """Stage 3: train the target-conditioned decoder.

    Args:
        adversarial: train it against a PatchGAN, whether or not the recipe does.

    The rest is as in `pretrain`.
    """
    return _train("finetune", note, options, adversarial=adversarial)


def compare(
    plan: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    label_maps: Sequence[str | Path] = (),
    sites: Sequence[str | Path] = (),
    devices: Sequence[str] = ("auto",),
    precision: str = "float32",
    cache_dir: Path | None = None,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> ComparisonReport:
    """Train networks, arrangements or strategies alike and score them in one table.

    What is finished in `out` is not done again, so that a comparison that was stopped goes on.

    Args:
        plan: name of a shipped comparison, or a TOML file (`omnisyn.comparison.plan`).
        out: the comparison's folder; `out/report` then holds tables, figure and page.
        data: a data root to train on; else `OMNISYN_DATA`, else the embedded simulation.
        label_maps: folders of labelled heads to train on besides.
        sites: what is scored beside the plan's sites: folders of sites, or of patients as
            PATIENT/CONTRAST.nii.gz.
        devices: one process works on each: auto, cpu, cuda:0, cuda:1, …
        precision: of training: float32, bfloat16 or float16.
        cache_dir: where the embedded simulation is kept.

    Returns:
        Where the report lies, its summary, and the ranking as a table in Markdown.
    """
    from omnisyn.comparison.compare import compare as compare_arms
    from omnisyn.comparison.plan import load_plan
    from omnisyn.studies.site import site_at

    chosen = load_plan(plan)
    root = None if data is None else Path(data)
    # Before the embedded sites, which take minutes to make.
    further = [site_at(Path(folder)) for folder in sites]
    return compare_arms(
        chosen,
        Path(out),
        [*_select_sites(chosen.evaluation.sites, root, cache_dir, note, progress), *further],
        data=root,
        label_maps=[Path(folder) for folder in label_maps],
        devices=devices,
        precision=_known_precision(precision),
        note=note,
    )


def list_sites(data: str | Path | None = None) -> list[dict[str, Any]]:
    """What each site of a data root holds (the fields of `SiteOverview`).

    Args:
        data: the data root; by default `OMNISYN_DATA`. Where there is neither, a UsageError.
    """
    from omnisyn.studies.overview import describe_root

    return [site.model_dump(mode="json") for site in describe_root(_given_root(data))]


def show_site(name: str, data: str | Path | None = None) -> dict[str, Any]:
    """What the site of this name holds. Arguments and errors as in `list_sites`."""
    from omnisyn.studies.overview import describe_site

    return describe_site(_given_root(data).site(name)).model_dump(mode="json")


def list_models() -> list[dict[str, Any]]:
    """The cards of the weights that ship with omnisyn."""
    from omnisyn.models.weights import list_weights

    return [card.model_dump(mode="json") for card in list_weights()]


def list_backbones() -> list[dict[str, Any]]:
    """The networks that a recipe can name: name, published width, step of widths, a sentence."""
    from omnisyn.models.backbone import backbone_class, backbone_names

    kinds = {name: backbone_class(name) for name in backbone_names()}
    return [
        {
            "name": name,
            "published_width": kind.published_width,
            "width_step": kind.width_step,
            "summary": kind.summary(),
        }
        for name, kind in kinds.items()
    ]


def show_model(name: str | Path, cache_dir: Path | None = None) -> dict[str, Any]:
    """The card of weights by name, path or `hf-hub:ORG/NAME`."""
    from omnisyn.models.weights import load_card

    return load_card(name, cache_dir).model_dump(mode="json")


def verify_models(
    name: str | Path | None = None, cache_dir: Path | None = None
) -> list[dict[str, str]]:
    """Name and SHA-256 of weights that are whole, and of their text tower if they have one; by
    default of all that ship.

    What is missing or differs from the card is a ModelError.
    """
    from omnisyn.models.weights import list_weights, verify_weights

    names = [card.name for card in list_weights()] if name is None else [name]
    cards = {str(each): verify_weights(each, cache_dir) for each in names}
    return [
        {"name": each, "sha256": card.sha256}
        | ({} if card.text is None else {"text_sha256": card.text.sha256})
        for each, card in cards.items()
    ]


def pull_model(
    address: str,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    cache_dir: Path | None = None,
    progress: Progress = unwatched,
) -> PulledWeights:
    """Bring weights, card and text tower from the hub into the cache, and check them; damaged ones
    come anew.

    Args:
        address: `hf-hub:ORG/NAME[@REVISION][#sha256=HASH]`.
        out: NAME.safetensors, to copy them to.
        cache_dir: where weights from the hub are kept.
    """
    from omnisyn.models.hub.pull import pull_weights

    return pull_weights(
        address,
        None if out is None else Path(out),
        cache_dir,
        overwrite=overwrite,
        progress=progress,
    )


def push_model(
    weights: str | Path,
    address: str,
    *,
    private: bool = False,
    message: str | None = None,
    tag: str | None = None,
    cache_dir: Path | None = None,
    note: Note = unheard,
) -> PushedWeights:
    """Upload weights, card, text tower and a page made of the card to the hub, in one commit.

    Args:
        weights: name, path or address of weights, which are checked first.
        address: `hf-hub:ORG/NAME`; the repository is made when there is none.
        private: make it private.
        message: of the commit.
        tag: a new name for the commit.
        cache_dir: where weights from the hub are kept.
    """
    from omnisyn.models.hub.push import push_weights

    return push_weights(
        weights, address, private=private, message=message, tag=tag, cache=cache_dir, note=note
    )


def convert_model(
    checkpoint: str | Path,
    recipe: str | Path,
    out: str | Path,
    *,
    trained_on: str,
    simulated: bool = False,
    overwrite: bool = False,
    note: Note = unheard,
) -> Path:
    """Weights and card of a checkpoint in a published layout, for a training to begin with.

    What the publication has not (fusion, the layers through which the target steers, a decoder that
    does not fit) is drawn afresh: the result has to be finetuned.

    Args:
        checkpoint: safetensors, or what `torch.save` wrote of a state dict.
        recipe: name or file; its `model` says backbone and width.
        out: NAME.safetensors.
        trained_on: the checkpoint's data, in a sentence.
        simulated: whether those were simulated, wholly or in part.

    Returns:
        The weights.
    """
    from omnisyn.models.card import CardDescription
    from omnisyn.models.checkpoint_file import read_checkpoint
    from omnisyn.models.generator import build_generator
    from omnisyn.models.published import fill_backbone
    from omnisyn.models.weights import save_weights
    from omnisyn.training.recipe import load_recipe
    from omnisyn.volumes.atomic import refuse_existing

    source, path, chosen = Path(checkpoint), Path(out), load_recipe(recipe)
    refuse_existing(path, overwrite=overwrite)
    generator = build_generator(chosen.model, seed=0)
    filled = fill_backbone(generator.backbone, read_checkpoint(source), source.name)
    if filled.left:
        note(f"the decoder is drawn afresh: {filled.left}")
    description = CardDescription(
        name=path.stem,
        recipe=chosen.name,
        trained_on=trained_on,
        simulated=simulated,
        stages={"converted": {"checkpoint": source.name, "halves": filled.halves}},
        limits="Converted from a published checkpoint and not finetuned: it makes no images yet.",
        licence="that of the checkpoint",
    )
    save_weights(path, generator, description, precision="float32")
    return path


def calibrate_model(
    name: str | Path | None = None,
    *,
    data: str | Path | None = None,
    label_maps: Sequence[str | Path] = (),
    patients: int = 26,
    device: str = "auto",
    overwrite: bool = False,
    cache_dir: Path | None = None,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> Path:
    """Measure how errors and familiarity show in a set of weights, and write it beside them.

    Args:
        name: name, path or `hf-hub:ORG/NAME`; by default the shipped set.
        data: a data root, whose validation patients of role `train` are taken; by default the
            simulator's own.
        label_maps: folders of labelled heads, to simulate further patients from.
        patients: how many of the simulator's, and of label maps; all of a data root's are taken.

    Returns:
        The file, `NAME.calibration.safetensors`.
    """
    from omnisyn import paths
    from omnisyn.inference.calibrate import calibrate, calibration_source
    from omnisyn.inference.calibration import calibration_path, write_calibration
    from omnisyn.inference.synthesizer import Synthesizer
    from omnisyn.models.weights import find_weights
    from omnisyn.volumes.atomic import refuse_existing

    path = calibration_path(find_weights(name, cache_dir))
    refuse_existing(path, overwrite=overwrite)
    synthesizer = Synthesizer.load(name, device, cache=cache_dir, note=note)
    root = paths.data_root(None if data is None else Path(data))
    if root is None:
        besides = ", and as many of label maps" if label_maps else ""
        note(f"no data root given: calibrating on {patients} SIMULATED patients{besides}")
    source = calibration_source(root, patients, [Path(folder) for folder in label_maps])
    measured = calibrate(
        synthesizer,
        source.validation(),
        source.name,
        simulated=source.simulated,
        progress=progress,
    )
    write_calibration(path, measured, overwrite=overwrite)
    return path


def doctor(cache_dir: Path | None = None) -> dict[str, dict[str, str]]:
    """Versions, devices, cache folder and shipped weights (each `whole`, or its fault)."""
    from omnisyn.inference.checkup import examine

    return examine(cache_dir)


def _given_root(data: str | Path | None) -> DataRoot:
    """The data root that was given, for what says nothing of the embedded simulation."""
    from omnisyn import paths
    from omnisyn.studies.site import DataRoot

    root = paths.data_root(None if data is None else Path(data))
    if root is None:
        raise UsageError("no data root is given", remedy="say --data ROOT, or set OMNISYN_DATA")
    return DataRoot(root)


def _select_sites(
    sites: Sequence[str],
    data: str | Path | None,
    cache_dir: Path | None,
    note: Note,
    progress: Progress,
) -> list[Site]:
    """Sites of the data root, or of the embedded simulation where there is none."""
    from omnisyn import paths
    from omnisyn.simulate.embedded import embedded_root
    from omnisyn.studies.site import DataRoot

    root = paths.data_root(None if data is None else Path(data))
    if root is not None:
        return DataRoot(root).select(sites)
    note("no data root given: scoring the embedded simulation (SIMULATED patients)")
    return embedded_root(sites, cache_dir, progress=progress).select(sites)


def _known_precision(name: str) -> Precision:
    from typing import get_args

    from omnisyn.training.run import Precision

    if name not in get_args(Precision):
        raise UsageError(
            f"unknown precision '{name}'", remedy=f"use {', '.join(get_args(Precision))}"
        )
    return cast("Precision", name)


def _train(
    stage: str, note: Note | None, options: TrainingOptions, **special: str | bool | None
) -> RunResult:
    """Run one stage; the options are the fields of `RunOptions`."""
    from importlib import import_module

    from omnisyn.training.run import RunOptions, say_to_stderr

    given: dict[str, Any] = {**options, **special}
    if "precision" in given:
        _known_precision(given["precision"])
    for name in ("data", "out"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    given["init"] = tuple(given.get("init", ()))
    given["label_maps"] = tuple(Path(folder) for folder in given.get("label_maps", ()))
    train = getattr(import_module(f"omnisyn.training.{stage}"), stage)
    result: RunResult = train(RunOptions(**given), say=note or say_to_stderr)
    return result
