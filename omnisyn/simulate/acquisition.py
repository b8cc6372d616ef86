"""One series as it was acquired: the parameters drawn, and the signal every tissue gives.

The signal is computed once per tissue (not per voxel) by the equations of ``sequences``, split
into water and fat, together with its slopes along the smooth variation inside a tissue. A voxel is
then a mixture of table entries: exact per tissue, first order in the variation within it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from omnisyn.simulate.sequences import (
    AGENTS,
    fast_spin_echo,
    flow_void,
    inversion_recovery,
    mprage,
    spin_echo,
    spoiled_gradient_echo,
    time_of_flight,
    with_gadolinium,
)
from omnisyn.simulate.tissues import TissueValues, tissue_index

SequenceName = Literal[
    "spin_echo",
    "fast_spin_echo",
    "inversion_recovery",
    "spoiled_gradient_echo",
    "mprage",
    "time_of_flight",
]
FatSuppression = Literal["none", "spectral", "inversion"]

_REFOCUSED = ("spin_echo", "fast_spin_echo", "inversion_recovery")
# Intravoxel dephasing of pulsatile arterial flow, beside the wash-out of the slice; an estimate.
_ARTERIAL_DEPHASING = 0.45


@dataclass(frozen=True)
class Flow:
    """Mean through-plane velocities in mm/ms (1 mm/ms = 1 m/s)."""

    arterial: float
    venous: float


@dataclass(frozen=True)
class Acquisition:
    """The parameters of one series. Times in ms, angles in degrees, lengths in mm."""

    contrast: str
    sequence: SequenceName
    field_tesla: float
    repetition_time_ms: float
    echo_time_ms: float
    inversion_time_ms: float | None
    flip_degrees: float
    refocusing_degrees: float
    echo_train: int
    echo_spacing_ms: float
    fat_suppression: FatSuppression
    fat_left: float
    agent: str | None
    magnetization_transfer: float
    slab_mm: float
    slice_thickness_mm: float

    @property
    def last_echo_ms(self) -> float:
        """The end of the echo train, after which recovery starts."""
        if self.sequence == "spin_echo":
            return self.echo_time_ms
        return max(self.echo_time_ms, self.echo_train * self.echo_spacing_ms)

    @property
    def fat_suppressed(self) -> bool:
        """Whether fat is suppressed, by whatever method."""
        return self.fat_suppression != "none"

    @property
    def refocused(self) -> bool:
        """Whether the series is a spin echo of some kind (flow voids, T2 instead of T2*)."""
        return self.sequence in _REFOCUSED


@dataclass(frozen=True)
class SignalTable:
    """Signal per tissue, a.u.: each tensor ``[depths, tissues]`` (one depth unless inflow counts).

    ``water`` and ``fat`` add up to the tissue's signal; ``slopes`` are the changes of the water
    signal per standard deviation of (water content, T2, gadolinium, relative flip angle).
    """

    water: Tensor
    fat: Tensor
    slopes: tuple[Tensor, ...]


def signal_table(
    acquisition: Acquisition, tissues: TissueValues, flow: Flow, depths_mm: Tensor
) -> SignalTable:
    """The signal of every tissue; ``depths_mm`` are heights above the lowest slice's edge.

    Slopes are central differences over one standard deviation either way (0.1 for the flip
    angle, per unit of relative flip), left out where the sequence does not depend on them.
    """
    inflow = acquisition.sequence == "time_of_flight"
    depths = depths_mm if inflow else depths_mm[:1]

    def total(
        water: float = 0.0, decay: float = 0.0, uptake: float = 0.0, flip: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        return _signal(acquisition, tissues, flow, depths, water, decay, uptake, flip)

    water, fat = total()
    slopes = [
        (total(water=1.0)[0] - total(water=-1.0)[0]) / 2,
        (total(decay=1.0)[0] - total(decay=-1.0)[0]) / 2,
    ]
    if acquisition.agent is not None:
        slopes.append((total(uptake=1.0)[0] - total(uptake=-1.0)[0]) / 2)
    else:
        slopes.append(torch.zeros_like(water))
    if acquisition.refocused:
        slopes.append(torch.zeros_like(water))
    else:
        slopes.append((total(flip=1.1)[0] - total(flip=0.9)[0]) / 0.2)
    return SignalTable(water, fat, tuple(slopes))


def _signal(
    acquisition: Acquisition,
    tissues: TissueValues,
    flow: Flow,
    depths: Tensor,
    water_score: float,
    decay_score: float,
    uptake_score: float,
    relative_flip: float,
) -> tuple[Tensor, Tensor]:
    spread = tissues.variation
    t1 = tissues.t1_ms * torch.exp(spread * water_score)
    t2_scale = torch.exp(spread * (0.8 * water_score + 0.6 * decay_score))
    density = tissues.proton_density * torch.exp(0.4 * spread * water_score)
    single_echo = acquisition.sequence == "spin_echo"
    t2 = (tissues.t2_spin_echo_ms if single_echo else tissues.t2_ms) * t2_scale
    fat_index = tissue_index("fat_subcutaneous")
    fat_t2 = (tissues.t2_spin_echo_ms if single_echo else tissues.t2_ms)[fat_index]
    if acquisition.agent is not None:
        r1, r2 = AGENTS[acquisition.agent].relaxivities(acquisition.field_tesla)
        concentration = tissues.gadolinium_mmol * torch.exp(2.5 * spread * uptake_score)
        t1, t2 = with_gadolinium(t1, t2, concentration, r1, r2)

    flip = math.radians(acquisition.flip_degrees) * relative_flip
    factor, pulses = _flow_effects(acquisition, flow, depths, len(t1))

    def equation(density: Tensor, t1: Tensor, t2: Tensor, pulses: Tensor) -> Tensor:
        return _equation(acquisition, density, t1, t2, tissues.reversible_rate, flip, pulses)

    transfer = 1 - acquisition.magnetization_transfer * tissues.transfer
    whole = equation(density, t1, t2, pulses) * transfer * factor
    if acquisition.sequence == "inversion_recovery" and acquisition.fat_suppression == "inversion":
        return whole, torch.zeros_like(whole)
    pure = _equation(
        acquisition,
        torch.ones_like(t1[:1]),
        tissues.t1_ms[fat_index : fat_index + 1],
        fat_t2.reshape(1),
        tissues.reversible_rate[fat_index : fat_index + 1],
        flip,
        torch.full_like(t1[:1], torch.inf),
    )
    fat = tissues.fat_fraction * pure
    # A mixture can hold no more fat signal than it has signal (signed: FLAIR may invert both).
    fat = torch.sign(whole) * torch.minimum(fat.abs(), 0.95 * whole.abs())
    return whole - fat, fat.expand_as(whole)


def _equation(
    acquisition: Acquisition,
    density: Tensor,
    t1: Tensor,
    t2: Tensor,
    reversible_rate: Tensor,
    flip: float,
    pulses: Tensor,
) -> Tensor:
    repetition, echo = acquisition.repetition_time_ms, acquisition.echo_time_ms
    last = acquisition.last_echo_ms
    inversion = acquisition.inversion_time_ms or 0.0
    t2star = 1 / (1 / t2 + reversible_rate)
    match acquisition.sequence:
        case "spin_echo":
            return spin_echo(density, t1, t2, repetition, echo)
        case "fast_spin_echo":
            return fast_spin_echo(density, t1, t2, repetition, echo, last)
        case "inversion_recovery":
            return inversion_recovery(density, t1, t2, repetition, echo, inversion, last)
        case "spoiled_gradient_echo":
            return spoiled_gradient_echo(density, t1, t2star, repetition, echo, flip)
        case "mprage":
            return mprage(
                density,
                t1,
                t2star,
                repetition,
                echo,
                inversion,
                flip,
                acquisition.echo_train,
                acquisition.echo_spacing_ms,
            )
        case "time_of_flight":
            return time_of_flight(density, t1, t2star, repetition, echo, flip, pulses)


def _flow_effects(
    acquisition: Acquisition, flow: Flow, depths: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """(signal factor, pulses seen), each ``[depths, tissues]``: voids, inflow, saturated veins."""
    artery, vein = tissue_index("blood_arterial"), tissue_index("blood_venous")
    factor = torch.ones(len(depths), count)
    pulses = torch.full((len(depths), count), torch.inf)
    thickness, last = acquisition.slice_thickness_mm, acquisition.last_echo_ms
    if acquisition.refocused:
        void = flow_void(flow.arterial, last, thickness)
        factor[:, artery] = _ARTERIAL_DEPHASING * void + 0.03
        factor[:, vein] = flow_void(flow.venous, last, thickness) + 0.03
    elif acquisition.sequence == "time_of_flight":
        depth = torch.remainder(depths, acquisition.slab_mm)
        per_pulse = flow.arterial * acquisition.repetition_time_ms
        pulses[:, artery] = torch.floor(depth / per_pulse)
        # A saturation band above the slab removes blood that comes down.
        factor[:, vein] = 0.15
    return factor, pulses
