"""Pictures of a direction, slice by slice: sources, syntheses, truth, what differs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.real.heads import Head
from benchmarks.real.measure import Images
from omnisyn.evaluation.results import Direction
from omnisyn.inference.preview import preview_png


class PictureFolder:
    """Writes `site_patient_direction_model.png`; called once for every direction.

    Patients of real sites: the pictures stay where they are and enter no repository.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, head: Head, direction: Direction, images: Images) -> None:
        """Four slices from the patient's feet: the patient's right is on the left."""
        for name, image in images.items():
            picture = preview_png(
                {source: head.scaled[source] for source in direction.sources},
                direction.target,
                image,
                truth=head.scaled[direction.target],
                slice_spacing=head.spacing,
                simulated=head.simulated,
                model=name,
            )
            words = (head.site, head.patient, direction.name.replace("→", "_to_"), name)
            file = "_".join(words).replace(" ", "-") + ".png"
            (self.folder / file).write_bytes(picture)
