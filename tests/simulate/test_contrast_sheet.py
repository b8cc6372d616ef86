import torch
from PIL import Image

from omnisyn.simulate.contrast_sheet import draw_contrast_sheet
from omnisyn.simulate.patient import simulate_patient


def test_the_sheet_has_a_column_per_contrast_and_a_row_per_slice(
    small_profile, ellipsoids, tmp_path
):
    patient = simulate_patient(
        small_profile, torch.Generator().manual_seed(0), anatomy=ellipsoids, contrasts=("T1", "T2")
    )
    path = tmp_path / "sheet.png"
    draw_contrast_sheet(patient, path, (6, 8))
    with Image.open(path) as picture:
        assert picture.size == (400, 465)
        assert picture.convert("L").getextrema()[1] > 200
