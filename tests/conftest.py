"""What the tests of several folders make."""

import pytest

from tests.dicom_series import DicomSeries


@pytest.fixture
def dicom_series():
    """The class of small DICOM series, to make as many as a test needs."""
    return DicomSeries
