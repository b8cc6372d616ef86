"""What the scanner and the patient add: receive and transmit fields, noise, k-space, motion.

Every random number is drawn first (``draw_exam``, ``draw_series``), into plain values; ``acquire``
only applies them, except for the noise itself, whose seed is one of the values drawn. An exam is
what the series of one patient share (coil, fields, the variation inside tissues), a series what
belongs to one contrast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from omnisyn.simulate.acquisition import Acquisition, Flow
from omnisyn.simulate.fields import (
    draw_lattice,
    draw_textures,
    interpolate_lattice,
    lattice_shape,
    texture,
)
from omnisyn.simulate.kspace import Sampling, axis_operator, motion_operator, noise_gain
from omnisyn.simulate.protocols import Effects, draw
from omnisyn.simulate.rendering import Displacement, Mixture, displace, shift_pixels
from omnisyn.simulate.sequences import refocusing_factor
from omnisyn.simulate.susceptibility import coarse_air, failure, static_field_ppm
from omnisyn.simulate.tissues import AIR, tissue_index

FAT_SHIFT_PPM = 3.4
PROTON_HZ_PER_TESLA = 42.577e6
# The whole head moves less than what is swallowed with; an estimate.
_WHOLE_HEAD_SHARE = 0.35
# Correlation lengths of the variation inside a tissue: patchy, and (where a profile asks) grainy.
_TEXTURE_PERIODS_MM = (28.0, 9.0)
_GRAIN_PERIODS_MM = (4.5, 2.2)


@dataclass(frozen=True)
class Exam:
    """What the series of one patient share. Lattices are coarse CPU tensors."""

    flow: Flow
    receive_log: Tensor
    receive_correction: float
    transmit_log: Tensor
    textures: tuple[list[Tensor], ...]
    shim_ppm: Tensor
    grains: tuple[list[Tensor], ...] = ()


@dataclass(frozen=True)
class Motion:
    """Displacement (mm) along the phase-encode axis per line; ``local`` keeps it to the throat."""

    path_mm: Tensor
    local: bool


@dataclass(frozen=True)
class Series:
    """What belongs to one series: lengths in mm, bandwidth in Hz per pixel, seed of the noise.

    ``thickness_share`` is the thickness of its slices in that of the field of view.
    """

    displacement: Displacement
    readout: Sampling
    phase: Sampling
    phase_encode: str
    snr: float
    bandwidth_hz: float
    saturation_ppm: float
    motion: Motion | None
    gain: float
    noise_seed: int
    thickness_share: float = 1.0


@dataclass(frozen=True)
class ExamMaps:
    """An exam's fields on the image grid, ``[slices, rows, columns]`` each."""

    receive: Tensor
    correction: Tensor
    transmit: Tensor
    textures: tuple[Tensor, ...]
    static_field_ppm: Tensor
    body: Tensor
    throat: Tensor


def draw_exam(effects: Effects, extent_mm: Sequence[float], generator: torch.Generator) -> Exam:
    """Draw what all series of a patient share; ``extent_mm`` is the field (slices, rows, cols)."""
    flow = Flow(arterial=draw((0.15, 0.45), generator), venous=draw(effects.venous_flow, generator))
    shape = lattice_shape(extent_mm, 70.0)
    height, down, across = torch.meshgrid(
        *(torch.linspace(-1.0, 1.0, size) for size in shape), indexing="ij"
    )
    radius = down.square() + across.square()
    receive = draw(effects.receive_variation, generator) * draw_lattice(generator, shape)
    receive += draw((0.0, 1.0), generator) * effects.receive_variation[1] * (radius - 0.5)
    # Half of the falloff is reached a third of the way from the lower end to the middle.
    falloff = math.log(draw(effects.neck_falloff, generator))
    receive -= falloff * torch.sigmoid((-0.65 - height) / 0.15)
    amplitude = draw(effects.transmit_variation, generator)
    transmit = amplitude * (0.4 - radius) + 0.3 * amplitude * draw_lattice(generator, shape)
    exam = Exam(
        flow=flow,
        receive_log=receive,
        receive_correction=draw(effects.receive_correction, generator),
        transmit_log=transmit.clamp(-0.45, 0.25),
        textures=tuple(draw_textures(generator, extent_mm, _TEXTURE_PERIODS_MM, 3)),
        shim_ppm=0.25 * draw_lattice(generator, shape),
    )
    # Drawn last and only where asked for: other profiles keep their patients as they are.
    if effects.grain[1] == 0:
        return exam
    grain = draw(effects.grain, generator)
    grains = draw_textures(generator, extent_mm, _GRAIN_PERIODS_MM, len(exam.textures))
    scaled = tuple([grain * lattice for lattice in lattices] for lattices in grains)
    return replace(exam, grains=scaled)


def draw_series(
    effects: Effects, matrix: int, generator: torch.Generator, *, first: bool
) -> Series:
    """Draw what belongs to one series; the ``first`` of a patient is the one others are off from.

    Scanners reconstruct to the same pixels from fewer measured lines along the phase axis.
    """
    displacement = Displacement()
    if not first:
        length = draw(effects.misregistration_mm, generator)
        direction = torch.randn(3, generator=generator)
        direction = length * direction / direction.norm().clamp(min=1e-6)
        angle = draw(effects.misregistration_degrees, generator)
        sign = 1.0 if draw((0.0, 1.0), generator) < 0.5 else -1.0
        displacement = Displacement(
            float(direction[0]), float(direction[1]), float(direction[2]), sign * angle
        )
    taper = draw(effects.taper, generator)
    motion = None
    if draw((0.0, 1.0), generator) < effects.motion_probability:
        motion = _draw_motion(draw(effects.motion_mm, generator), matrix, generator)
    return Series(
        displacement=displacement,
        readout=Sampling(draw(effects.acquired_readout, generator), taper),
        phase=Sampling(draw(effects.acquired_phase, generator), taper),
        phase_encode=effects.phase_encode,
        snr=draw(effects.snr, generator),
        bandwidth_hz=draw(effects.bandwidth_hz, generator),
        saturation_ppm=draw(effects.saturation_ppm, generator),
        motion=motion,
        gain=math.exp(draw((math.log(150.0), math.log(1500.0)), generator)),
        noise_seed=int(torch.randint(0, 2**62, (), generator=generator)),
        # Drawn last: a profile that asks for one gets no other numbers besides.
        thickness_share=draw(effects.thickness_share, generator),
    )


def _draw_motion(amplitude_mm: float, lines: int, generator: torch.Generator) -> Motion:
    """Periodic motion (breathing, pulsation) or a few swallows, as a path over the lines."""
    time = torch.linspace(0.0, 1.0, lines)
    local = draw((0.0, 1.0), generator) < 0.6
    if draw((0.0, 1.0), generator) < 0.5:
        cycles, phase = draw((4.0, 30.0), generator), draw((0.0, 2 * math.pi), generator)
        path = torch.sin(2 * math.pi * cycles * time + phase)
    else:
        path = torch.zeros(lines)
        for _ in range(3):
            middle, width = draw((0.0, 1.0), generator), draw((0.01, 0.05), generator)
            path = path + torch.exp(-(((time - middle) / width) ** 2))
    return Motion((1.0 if local else _WHOLE_HEAD_SHARE) * amplitude_mm * path, local)


def exam_maps(
    exam: Exam,
    labels: Tensor,
    spacing_mm: tuple[float, float, float],
    centre_mm: tuple[float, float, float],
) -> ExamMaps:
    """Put an exam's lattices on the grid of ``labels`` (one per slice) and find the air's field.

    ``centre_mm`` is the grid's middle (x, y, z) from the head's origin, y to the back, z up.
    """
    shape, device = labels.shape, labels.device
    factor = max(1, round(8.0 / spacing_mm[1]))
    coarse = coarse_air(labels, tissue_index(AIR), factor)
    static = static_field_ppm(
        coarse, (spacing_mm[0], factor * spacing_mm[1], factor * spacing_mm[2])
    )
    receive = interpolate_lattice(exam.receive_log.to(device), shape)
    heights = centre_mm[2] + _centred(shape[0], spacing_mm[0], device)
    depths = centre_mm[1] + _centred(shape[1], spacing_mm[1], device)
    throat = torch.sigmoid((-50.0 - heights) / 12)[:, None] * torch.sigmoid((10.0 - depths) / 10)
    return ExamMaps(
        receive=torch.exp(receive),
        correction=torch.exp(-exam.receive_correction * receive),
        transmit=torch.exp(interpolate_lattice(exam.transmit_log.to(device), shape)),
        textures=_textures(exam, shape, device),
        static_field_ppm=interpolate_lattice(static, shape)
        + interpolate_lattice(exam.shim_ppm.to(device), shape),
        body=labels != tissue_index(AIR),
        throat=throat[:, :, None],
    )


def _textures(exam: Exam, shape: Sequence[int], device: torch.device) -> tuple[Tensor, ...]:
    smooth = tuple(texture(lattices, shape, device) for lattices in exam.textures)
    if not exam.grains:
        return smooth
    return tuple(
        image.add_(texture(lattices, shape, device))
        for image, lattices in zip(smooth, exam.grains, strict=True)
    )


def acquire(
    mixture: Mixture,
    acquisition: Acquisition,
    series: Series,
    maps: ExamMaps,
    spacing_mm: tuple[float, float, float],
) -> Tensor:
    """The magnitude image of one series, a.u., ``[slices, rows, columns]``."""
    image = _ideal_image(mixture, acquisition, series, maps)
    image = displace(image, series.displacement, (spacing_mm[1], spacing_mm[2]))
    _, rows, columns = image.shape
    along_rows = series.phase_encode == "rows"
    row_sampling = series.phase if along_rows else series.readout
    column_sampling = series.readout if along_rows else series.phase
    down = axis_operator(rows, row_sampling).to(image.device)
    across = axis_operator(columns, column_sampling).to(image.device)

    level = float(image[maps.body].abs().mean()) if bool(maps.body.any()) else 1.0
    image = image * maps.receive
    deviation = level / (series.snr * noise_gain(down) * noise_gain(across))
    noise = torch.Generator(image.device).manual_seed(series.noise_seed)

    def white() -> Tensor:
        return torch.randn(image.shape, generator=noise, device=image.device) * deviation

    real = down @ (image + white()) @ across
    imaginary = down @ white() @ across
    if series.motion is not None:
        moving = image * maps.throat if series.motion.local else image
        size = rows if along_rows else columns
        path = series.motion.path_mm / spacing_mm[1 if along_rows else 2]
        moved_real, moved_imaginary = (
            part.to(image.device) for part in motion_operator(size, series.phase, path)
        )
        # The ghost is the moving part as seen in motion, less as seen at rest.
        if along_rows:
            real += (moved_real - down) @ moving @ across
            imaginary += moved_imaginary @ moving @ across
        else:
            real += down @ moving @ (moved_real - across).T
            imaginary += down @ moving @ moved_imaginary.T
    magnitude = torch.sqrt(real.square_().add_(imaginary.square_()))
    return magnitude.mul_(maps.correction).mul_(series.gain / max(level, 1e-6))


def _ideal_image(
    mixture: Mixture, acquisition: Acquisition, series: Series, maps: ExamMaps
) -> Tensor:
    image = mixture.water.clone()
    deviations = (*maps.textures, maps.transmit - 1)
    for slope, deviation in zip(mixture.slopes, deviations, strict=True):
        if slope is not None:
            image.addcmul_(slope, deviation)
    fat = mixture.fat * (1 + 0.05 * maps.textures[0])
    if acquisition.fat_suppression == "spectral":
        escaped = failure(maps.static_field_ppm, series.saturation_ppm)
        fat = fat * (acquisition.fat_left + (1 - acquisition.fat_left) * escaped)
    shift = FAT_SHIFT_PPM * 1e-6 * PROTON_HZ_PER_TESLA * acquisition.field_tesla
    readout_axis = -1 if series.phase_encode == "rows" else -2
    image += shift_pixels(fat, shift / series.bandwidth_hz, readout_axis)
    if acquisition.refocused:
        image *= refocusing_factor(maps.transmit, math.radians(acquisition.refocusing_degrees))
    return image


def _centred(size: int, spacing: float, device: torch.device) -> Tensor:
    return (torch.arange(size, device=device) - (size - 1) / 2) * spacing
