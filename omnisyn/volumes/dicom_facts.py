"""What a DICOM header says of how an image was acquired; no patient data among it."""

from omnisyn.volumes.dicom_frames import Frame

SIMULATED = "SIMULATED"
"""The value of ImageType (0008,0008) by which an image says that it comes from a simulator."""

_NUMBERS = ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "SliceThickness")
_WORDS = {
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "ManufacturerModelName",
    "SeriesDescription": "SeriesDescription",
    "ProtocolName": "ProtocolName",
    "SequenceName": "SequenceName",
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
    "MRAcquisitionType": "MRAcquisitionType",
    "ContrastBolusAgent": "ContrastBolusAgent",
    "AngioFlag": "AngioFlag",
    "EchoPulseSequence": "EchoPulseSequence",
    "EchoPlanarPulseSequence": "EchoPlanarPulseSequence",
}


def acquisition(frame: Frame) -> dict[str, float | str]:
    """The facts under their BIDS names: times in ms, angles in degrees, field in tesla."""
    facts: dict[str, float | str] = {}
    for keyword in _NUMBERS:
        value = frame.number_of(keyword)
        if value is not None:
            facts[keyword] = value
    field = frame.number_of("MagneticFieldStrength")
    if field is not None:
        # Some scanners write gauss: 15000 for 1.5 T.
        facts["MagneticFieldStrength"] = field / (10000 if field > 100 else 1)
    for fact, keyword in _WORDS.items():
        text = frame.text(keyword)
        if text:
            facts[fact] = text
    if "FS" in frame.text("ScanOptions").split("\\"):
        facts["FatSuppressed"] = True
    kinds = frame.text("ImageType").split("\\")
    if SIMULATED in kinds:
        facts["Simulated"] = True
    if "SYNTHETIC" in kinds:
        facts["Synthetic"] = True
        facts["Simulated"] = SIMULATED in frame.text("SeriesDescription").split()
    return facts
