import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.embedding import CONTRASTS, images_of, main, seen_by
from benchmarks.patients import ScaledPatient
from omnisyn.geometry import Geometry
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.generator import build_generator
from omnisyn.training.artefacts import RunCard, write_encoder
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunConfig, RunFolder
from omnisyn.volumes.write import write_volume

SHAPE = (15, 48, 48)
TINY = ModelSettings(backbone="small", width=4, fusion_heads=1)


class Telling(torch.nn.Module):
    """Sees in every image the one number that is drawn into it, on a map of one pixel."""

    stride = 16

    def encode(self, images, contrasts):
        angle = images.amax(dim=(1, 2, 3))
        return [torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)[:, :, None, None]]


def patient(contrast_matters):
    """Brighter from slice to slice, and if wanted from contrast to contrast."""
    rows, columns = np.mgrid[:48, :48] - 24
    inside = rows**2 + columns**2 < 18**2
    grey = 0.2 + 0.05 * np.arange(SHAPE[0])
    return ScaledPatient(
        {
            name: (inside * (grey + contrast_matters * 0.05 * k)[:, None, None]).astype(np.float32)
            for k, name in enumerate(CONTRASTS)
        },
        (1.0, 1.0),
    )


@pytest.fixture
def run(tmp_path):
    """A finished pretrain run of a narrow network."""
    folder = RunFolder(tmp_path / "run")
    folder.final.mkdir(parents=True)
    recipe = load_recipe("small").model_copy(update={"model": TINY})
    config = RunConfig(stage="pretrain", seed=3, precision="float32", data="discs", recipe=recipe)
    folder.start(config, [])
    folder.update(finished=True, step=17)
    card = RunCard("pretrain", "small", 3, "discs", True, 17, 17, 1.0, {}, {})
    write_encoder(folder.final, build_generator(TINY, seed=9), card)
    return folder.path


def test_images_are_ordered_by_slice_with_every_contrast():
    images = images_of(patient(True))
    assert images.slices.tolist() == [place for place in range(12) for _ in CONTRASTS]
    assert images.images.shape == (36, 1, 48, 48)
    brightest = images.images.amax(dim=(1, 2, 3))
    np.testing.assert_allclose(brightest[1::3] - brightest[::3], 0.05, atol=1e-6)
    assert torch.equal(images.heads[0], images.heads[2])


def test_what_an_encoder_sees_decides_the_figures():
    alike = seen_by(Telling(), images_of(patient(False))).figures
    assert alike["T1 and T2 of a slice find each other"] == 1
    assert alike["nearest image shows the same slice"] == 1
    assert alike["the same, pooled over the head"] == 1
    assert alike["cosine, same slice"] == pytest.approx(1, abs=1e-6)
    assert alike["cosine, other slices"] < 0.99
    apart = seen_by(Telling(), images_of(patient(True))).figures
    # T2 is as bright as T1 two slices on: only the first T1 and the last T2 find their own.
    assert apart["T1 and T2 of a slice find each other"] < 0.2
    assert apart["nearest image shows the same slice"] < 0.5
    assert apart["cosine, same slice"] < 1 - 1e-4


def test_figure_and_table_tell_before_and_after(run, tmp_path, capsys):
    for number in range(2):
        for name, slices in patient(True).slices.items():
            grid = Geometry.axial(SHAPE, (4.0, 1.0, 1.0))
            path = tmp_path / "data" / f"{number}" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, grid.from_slices(slices), grid)
    out = tmp_path / "out.png"
    main(["--run", str(run), "--out", str(out), "--data", str(tmp_path / "data")])
    with Image.open(out) as picture:
        assert picture.size[0] > 500
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert sum(line.startswith("| before: ") for line in table) == 5
    after = [line.split(" | ") for line in table if line.startswith("| after 17 steps: ")]
    assert len(after) == 5
    before = [line.split(" | ") for line in table if line.startswith("| before: ")]
    assert [cells[3] for cells in before] != [cells[3] for cells in after]
