"""Geometric augmentation of slices: drawn apart from its application, one sampling per batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from omnisyn.settings import Settings
from omnisyn.studies.slices import SliceBatch


class AugmentationSettings(Settings):
    """How much the geometry of a training slice is changed.

    Attributes:
        flip: probability of a left–right flip.
        resampled: share of the slices that are zoomed and rotated. The rest are only flipped and
            cropped by whole pixels, so that the model also sees images that no interpolation
            has softened.
        zoom: smallest and largest magnification, drawn log-uniformly; rather above 1, because
            synthesis magnifies coarse pixels, too.
        rotation_degrees: largest in-plane rotation to either side, drawn uniformly.
    """

    flip: float = Field(default=0.5, ge=0, le=1)
    resampled: float = Field(default=0.75, ge=0, le=1)
    zoom: tuple[float, float] = (0.9, 1.7)
    rotation_degrees: float = Field(default=10.0, ge=0, le=180)

    @model_validator(mode="after")
    def _zoom_is_a_range(self) -> AugmentationSettings:
        smallest, largest = self.zoom
        if not 0.1 <= smallest <= largest <= 10:
            raise ValueError("zoom must be two magnifications from 0.1 to 10, the smaller first")
        return self


@dataclass(frozen=True)
class Augmentation:
    """The random numbers of one batch; they know nothing of image sizes.

    Attributes:
        zoom: [batch] magnification (1 where not resampled).
        rotation: [batch] rad, in the plane of the slice (0 where not resampled).
        flip: [batch] bool, left–right.
        offset: [batch, 2] in [-1, 1], place of the window (row, column) between the two extremes
            that the region and the window allow.
        whole_pixels: [batch] bool, the window lies on the pixel grid: no interpolation.
    """

    zoom: Tensor
    rotation: Tensor
    flip: Tensor
    offset: Tensor
    whole_pixels: Tensor

    def __len__(self) -> int:
        return self.zoom.shape[0]


def draw_augmentation(
    generator: torch.Generator, batch_size: int, settings: AugmentationSettings
) -> Augmentation:
    """Draws the changes for ``batch_size`` slices, always with the same count of random numbers."""
    numbers = torch.rand(batch_size, 6, generator=generator)
    resampled = numbers[:, 0] < settings.resampled
    smallest, largest = (math.log(zoom) for zoom in settings.zoom)
    zoom = torch.exp(smallest + (largest - smallest) * numbers[:, 1])
    rotation = math.radians(settings.rotation_degrees) * (2 * numbers[:, 2] - 1)
    return Augmentation(
        zoom=torch.where(resampled, zoom, 1.0),
        rotation=torch.where(resampled, rotation, 0.0),
        flip=numbers[:, 3] < settings.flip,
        offset=2 * numbers[:, 4:] - 1,
        whole_pixels=~resampled,
    )


def apply_augmentation(
    batch: SliceBatch, augmentation: Augmentation, crop: int, regions: Tensor | None = None
) -> SliceBatch:
    """Cuts a ``crop`` × ``crop`` window out of every slice, flipped, zoomed and rotated as drawn.

    All contrasts of a slice go through the same change, in one sampling for the batch, bicubic as
    where synthesis magnifies; what lies outside the frame becomes zero. In-plane pixels are taken
    as square.

    Args:
        batch: images [batch, 6, rows, columns].
        augmentation: as drawn, one entry a slice.
        crop: rows and columns of the result, pixels.
        regions: [batch, 4] first row, end row, first column, end column (pixels, ends exclusive)
            of what the window should hold: where the window is smaller it stays inside the region,
            where larger it holds it whole. Default: the whole frame.

    Returns:
        The batch with images [batch, 6, crop, crop] on the same device.

    Raises:
        ValueError: the augmentation is for another batch size, or ``crop`` is not positive.
    """
    count, _, rows, columns = batch.images.shape
    if len(augmentation) != count:
        raise ValueError(f"augmentation for {len(augmentation)} slices applied to {count}")
    if crop < 1:
        raise ValueError(f"crop must be positive, not {crop}")
    device = batch.images.device
    if regions is None:
        regions = torch.tensor([[0, rows, 0, columns]]).expand(count, 4)
    centres = _window_centres(augmentation, regions.cpu().to(torch.float32), crop)

    # From the window's pixel (row, column about its centre) to the slice's pixel: the inverse of
    # flip, then rotation, then zoom.
    cosine, sine = torch.cos(augmentation.rotation), torch.sin(augmentation.rotation)
    mirrored = torch.where(augmentation.flip, -1.0, 1.0)
    matrix = torch.stack(
        [
            torch.stack([cosine, sine * mirrored], dim=1),
            torch.stack([-sine, cosine * mirrored], dim=1),
        ],
        dim=1,
    ) / augmentation.zoom.reshape(-1, 1, 1)
    matrix, centres = matrix.to(device), centres.to(device)

    steps = torch.arange(crop, dtype=torch.float32, device=device) - (crop - 1) / 2
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)
    positions = window @ matrix.transpose(1, 2) + centres.unsqueeze(1)
    # grid_sample wants (x, y) = (column, row), with -1 and 1 at the outer edges of the frame.
    size = torch.tensor([rows, columns], dtype=torch.float32, device=device)
    grid = ((2 * positions + 1) / size - 1).flip(-1).reshape(count, crop, crop, 2)
    images = functional.grid_sample(
        batch.images, grid, mode="bicubic", padding_mode="zeros", align_corners=False
    )
    # A cubic reaches a pixel out of the frame.
    inside = ((positions > -0.5) & (positions < size - 0.5)).all(dim=-1)
    images = images * inside.reshape(count, 1, crop, crop)
    pixel_mm = batch.pixel_mm / augmentation.zoom.to(device)
    return replace(batch, images=images.clamp_(0, 1), pixel_mm=pixel_mm)


def _window_centres(augmentation: Augmentation, regions: Tensor, crop: int) -> Tensor:
    """Centres [batch, 2] of the windows in pixel indices of the slice (row, column)."""
    first, end = regions[:, 0::2], regions[:, 1::2]
    middle = (first + end - 1) / 2
    extent = crop / augmentation.zoom.unsqueeze(1)
    centres = middle + augmentation.offset * (end - first - extent).abs() / 2
    half = (crop - 1) / 2
    on_grid = torch.round(centres - half) + half
    return torch.where(augmentation.whole_pixels.unsqueeze(1), on_grid, centres)
