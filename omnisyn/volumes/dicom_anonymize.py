"""Pseudonyms for a derived series, by the basic profile of DICOM PS3.15, table E.1-1.

Only the attributes that `dicom_write` writes are treated: everything else of the source is left out
in any case. What the profile keeps but people write words into (the body part) goes as well. What
the series says of itself (its description, the model's name) is made by omnisyn and stays. Dates
and times are removed, those of the synthesis included.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_hex

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

# Type 2 attributes become empty, the others go.
_EMPTIED = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "ContentDate", "ContentTime", "PositionReferenceIndicator"),
)
_REMOVED = (
    *("IssuerOfPatientID", "PatientBirthTime", "PatientAge", "PatientSize", "PatientWeight"),
    *("StudyDescription", "SeriesDate", "SeriesTime", "InstanceCreationDate"),
    *("InstanceCreationTime", "TimezoneOffsetFromUTC", "BodyPartExamined"),
)
_REPLACED_UIDS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("ReferencedSOPInstanceUID",),
)


@dataclass(frozen=True)
class Pseudonyms:
    """New names and UIDs that stay the same for as long as this object is used.

    They are random: nothing leads back from them to the patient. Use one object for everything
    that is to stay together, the series of one call for example.
    """

    _uids: dict[str, str] = field(default_factory=dict, repr=False)
    _patients: dict[str, str] = field(default_factory=dict, repr=False)

    def patient(self, known: str) -> str:
        """The pseudonym of whoever is known by this number, name or folder."""
        return self._patients.setdefault(known, f"ANONYMOUS-{token_hex(4).upper()}")

    def apply(self, dataset: Dataset) -> None:
        """Take the patient out of a derived data set, in place."""
        known = f"{dataset.get('IssuerOfPatientID', '')}|{dataset.get('PatientID', '')}"
        dataset.PatientName = dataset.PatientID = self.patient(known)
        for keyword in _EMPTIED:
            setattr(dataset, keyword, "")
        for keyword in _REMOVED:
            if keyword in dataset:
                delattr(dataset, keyword)
        # Due where the body part is not said (type 2C).
        dataset.Laterality = None
        for part in _with_items(dataset):
            for keyword in _REPLACED_UIDS:
                if part.get(keyword):
                    new = self._uids.setdefault(str(part.get(keyword)), generate_uid())
                    setattr(part, keyword, new)
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "omnisyn: basic profile, source attributes left out"
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
        code.CodeMeaning = "Basic Application Confidentiality Profile"
        dataset.DeidentificationMethodCodeSequence = [code]
        dataset.LongitudinalTemporalInformationModified = "REMOVED"


def _with_items(dataset: Dataset) -> Iterator[Dataset]:
    """A data set and, at any depth, the items of its sequences."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _with_items(item)
