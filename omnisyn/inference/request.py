"""What is wanted of a call, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omnisyn.errors import UsageError
from omnisyn.inference.asked import Asked
from omnisyn.volumes.options import DEFAULT as READ_DEFAULT
from omnisyn.volumes.options import ReadOptions
from omnisyn.volumes.volume import Volume

if TYPE_CHECKING:
    from omnisyn.volumes.dicom_anonymize import Pseudonyms


@dataclass(frozen=True)
class Request:
    """What is wanted for every patient of a call.

    Attributes:
        targets: contrast names or `all`.
        output: folder for the results.
        asked: what is said of the targets besides their names.
        preview: write a picture beside each volume.
        uncertainty: write a map of the expected error beside each volume.
        truth: real volumes by target name, for the preview only.
        match_source: scale the values to the first source's range.
        overwrite: replace what exists.
        skip_existing: leave a result alone whose sidecar names these sources and weights.
        format: "nifti", or "dicom" for a derived series of a DICOM source.
        pseudonyms: take the patient out of what is written; of DICOM output only.
        fail_fast: stop at the first patient that fails.
        series: series of the one DICOM folder that is given; each is a source.
        reading: what may be read although it is refused by default.
        subjects: labels of the subjects that are wanted; none means all.
        sessions: the same of sessions.
        source_names: the sources as they were given, with basenames in the place of paths.
        model_asked_for: weights, device and precision as they were given, without folders.
    """

    targets: tuple[str, ...]
    output: Path
    asked: Asked = field(default_factory=Asked)
    preview: bool = False
    uncertainty: bool = False
    truth: Mapping[str, Path] | None = None
    match_source: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    format: Literal["nifti", "dicom"] = "nifti"
    pseudonyms: Pseudonyms | None = None
    fail_fast: bool = False
    series: tuple[str, ...] = ()
    reading: ReadOptions = READ_DEFAULT
    subjects: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    source_names: tuple[str, ...] = ()
    model_asked_for: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What a sidecar says was asked for."""
        return {
            "Sources": list(self.source_names),
            "Targets": list(self.targets),
            "MatchSource": self.match_source,
            "Format": self.format,
            "Anonymized": self.pseudonyms is not None,
            # A series is often named after its patient, and its UID leads back to it.
            "Series": list(self.series) if self.pseudonyms is None else len(self.series),
            "Reading": {key: value for key, value in asdict(self.reading).items() if value},
            **self.model_asked_for,
        }


def source_and_target(name: str) -> UsageError:
    """The refusal of a contrast that is asked for and given."""
    return UsageError(
        f"{name} is a source; it cannot be a target as well",
        remedy="leave it out of --target, or out of --src",
    )


@dataclass(frozen=True)
class LoadedPatient:
    """A patient whose scans were read.

    Attributes:
        name: what the patient is called in messages.
        folder: the patient's folder below the output folder.
        sources: by contrast name, the first one giving grid and name of the outputs.
        truth: real volumes of targets, by contrast name.
        files: what was read, and the sidecars beside it: not to be replaced by an output.
        dataset: the BIDS dataset that the scans are of, where they are of one.
        places: where each scan lies in that dataset, by contrast name.
        choices: which scans were taken where there were several, one sentence each.
    """

    name: str
    folder: Path
    sources: Mapping[str, Volume]
    truth: Mapping[str, Volume]
    files: tuple[Path, ...] = ()
    dataset: Path | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()

    @property
    def reference(self) -> Volume:
        """The first source, on whose grid everything is."""
        return next(iter(self.sources.values()))

    @property
    def simulated(self) -> bool:
        """Whether any source is a simulated patient's."""
        return any(
            bool(volume.provenance.acquisition.get("Simulated")) for volume in self.sources.values()
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the sources or was chosen among them, one sentence each."""
        odd = list(self.choices)
        for volume in self.sources.values():
            odd += [f"{volume.provenance.name}: {text}" for text in volume.provenance.warnings]
            if volume.provenance.acquisition.get("Synthetic"):
                odd.append(f"{volume.provenance.name} is itself a synthetic image")
        headers = [volume.headers[0] for volume in self.sources.values() if volume.headers]
        if len({header.text("FrameOfReferenceUID") for header in headers} - {""}) > 1:
            odd.append(
                "the sources have several frames of reference: positions in different ones may "
                "not be comparable, and nothing is registered here"
            )
        return tuple(odd)


@dataclass(frozen=True)
class Output:
    """One synthesized volume on disk.

    Attributes:
        patient: what the patient was called (a basename or a relative path).
        sources: names of the contrasts it was made from.
        target: name of the contrast it shows.
        volume: the .nii.gz file or the folder of the DICOM series; its sidecar is beside it.
        preview: the picture, where one was wanted.
        uncertainty: the map of the expected error, where one was wanted.
    """

    patient: str
    sources: tuple[str, ...]
    target: str
    volume: Path
    preview: Path | None
    uncertainty: Path | None = None
