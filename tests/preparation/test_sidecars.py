"""What of a sidecar is copied names nobody, and can be written as strict JSON."""

import json
import math

from omnisyn.preparation.sidecars import impersonal


def test_how_a_scan_was_made_is_kept() -> None:
    made = {
        "EchoTime": 0.012,
        "PatientPosition": "HFS",
        "FatSuppressed": False,
        "SliceTiming": [0, 0.5, 1],
        "Sequence": {"Name": "tse", "Echoes": [{"Time": 12}]},
    }
    assert impersonal(made) == made


def test_people_places_and_machines_are_left_out_at_any_depth_and_spelling() -> None:
    said = {
        "PatientName": "a",
        "patientName": "a",
        "patient_id": "a",
        "PATIENT BIRTH DATE": "a",
        "referring-physician": "a",
        "study_instance_uid": "a",
        "DeviceSerialNumber": "a",
        "x": {"PatientName": "a", "y": [{"InstitutionName": "a", "EchoTime": 1}]},
    }
    assert impersonal(said) == {"x": {"y": [{"EchoTime": 1}]}}


def test_what_strict_json_cannot_hold_is_left_out() -> None:
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"a": deep}
    said = {
        "a": math.nan,
        "b": math.inf,
        "c": "\ud800",
        "\ud800": 1,
        "d": 10**400,
        "e": [1, math.nan],
        "f": deep,
        "g": None,
    }
    kept = impersonal(said)
    assert set(kept) == {"e", "f"}
    assert kept["e"] == [1, None]
    json.dumps(kept, allow_nan=False, ensure_ascii=False).encode()
