"""Signal equations of the pulse sequences, per unit of receive gain.

Times in ms, flip angles in radians, concentrations in mM, velocities in mm/ms, lengths in mm.
Everything broadcasts: pass tensors of tissues, of voxels, or plain numbers. Inversion recovery
is returned *signed*, so that mixtures within a voxel cancel as they do in the scanner; the
magnitude is taken after noise has been added.

Sources: spin echo, fast spin echo and inversion recovery from the Bloch equations with ideal
pulses (Bernstein, King, Zhou: Handbook of MRI Pulse Sequences, 2004; the last echo of a train ends
the recovery period); spoiled gradient echo from Ernst and Anderson 1966; the train of MPRAGE in
its driven equilibrium after Deichmann 2000; time of flight as the approach to steady state of
inflowing spins (Haacke et al.: Magnetic Resonance Imaging, 1999).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Agent:
    """A gadolinium agent: relaxivities in 1/(s mM) at 1.5 and 3 T."""

    name: str
    r1: tuple[float, float]
    r2: tuple[float, float]

    def relaxivities(self, field_tesla: float) -> tuple[float, float]:
        """(r1, r2) in 1/(ms mM), linear between the two fields and constant outside."""
        weight = min(max((field_tesla - 1.5) / 1.5, 0.0), 1.0)
        r1 = self.r1[0] + weight * (self.r1[1] - self.r1[0])
        r2 = self.r2[0] + weight * (self.r2[1] - self.r2[0])
        return r1 / 1000.0, r2 / 1000.0


# Rohrer 2005 (plasma, 37 degrees C) and, for r1 of the first three, newer readings of the same.
AGENTS: Mapping[str, Agent] = {
    agent.name: agent
    for agent in (
        Agent("gadobutrol", (4.78, 4.97), (6.1, 7.1)),
        Agent("gadoteridol", (3.80, 3.28), (5.0, 5.7)),
        Agent("gadoterate", (3.32, 3.00), (4.3, 4.9)),
        Agent("gadopentetate", (4.1, 3.7), (4.6, 5.2)),
    )
}


def spin_echo(
    proton_density: Tensor, t1: Tensor, t2: Tensor, repetition_time: float, echo_time: float
) -> Tensor:
    """``PD (1 - 2 exp(-(TR - TE/2)/T1) + exp(-TR/T1)) exp(-TE/T2)``."""
    recovery = (
        1
        - 2 * torch.exp(-(repetition_time - echo_time / 2) / t1)
        + torch.exp(-repetition_time / t1)
    )
    return proton_density * recovery * torch.exp(-echo_time / t2)


def fast_spin_echo(
    proton_density: Tensor,
    t1: Tensor,
    t2: Tensor,
    repetition_time: float,
    echo_time: float,
    last_echo: float,
) -> Tensor:
    """``PD (1 - exp(-(TR - TE_last)/T1)) exp(-TE_eff/T2)``."""
    recovery = 1 - torch.exp(-(repetition_time - last_echo) / t1)
    return proton_density * recovery * torch.exp(-echo_time / t2)


def inversion_recovery(
    proton_density: Tensor,
    t1: Tensor,
    t2: Tensor,
    repetition_time: float,
    echo_time: float,
    inversion_time: float,
    last_echo: float,
) -> Tensor:
    """Signed FLAIR/STIR: ``PD (1 - 2 exp(-TI/T1) + exp(-(TR - TE_last)/T1)) exp(-TE_eff/T2)``."""
    recovery = (
        1 - 2 * torch.exp(-inversion_time / t1) + torch.exp(-(repetition_time - last_echo) / t1)
    )
    return proton_density * recovery * torch.exp(-echo_time / t2)


def spoiled_gradient_echo(
    proton_density: Tensor,
    t1: Tensor,
    t2star: Tensor,
    repetition_time: float,
    echo_time: float,
    flip: float | Tensor,
) -> Tensor:
    """``PD sin a (1 - E1)/(1 - E1 cos a) exp(-TE/T2*)`` with ``E1 = exp(-TR/T1)``."""
    angle = torch.as_tensor(flip)
    decay = torch.exp(-repetition_time / t1)
    steady = torch.sin(angle) * (1 - decay) / (1 - decay * torch.cos(angle))
    return proton_density * steady * torch.exp(-echo_time / t2star)


def mprage(
    proton_density: Tensor,
    t1: Tensor,
    t2star: Tensor,
    repetition_time: float,
    echo_time: float,
    inversion_time: float,
    flip: float | Tensor,
    readouts: int,
    readout_spacing: float,
) -> Tensor:
    """Signed inversion-prepared gradient-echo train at its central readout.

    One period is: inversion, free recovery for ``TI - k0 tau``, ``readouts`` pulses ``tau`` apart,
    free recovery for the rest of TR. ``inversion_time`` is counted to the central readout k0.
    """
    angle = torch.as_tensor(flip)
    central = readouts // 2
    wait = max(inversion_time - central * readout_spacing, 1.0)
    rest = max(repetition_time - wait - readouts * readout_spacing, 0.0)
    apparent = 1 / (1 / t1 - torch.log(torch.cos(angle)) / readout_spacing)
    equilibrium = (1 - torch.exp(-readout_spacing / t1)) / (
        1 - torch.exp(-readout_spacing / apparent)
    )
    train_decay = torch.exp(-readouts * readout_spacing / apparent)
    rest_decay, wait_decay = torch.exp(-rest / t1), torch.exp(-wait / t1)
    # Mz before the train in the periodic state: inversion negates what the last period left.
    train_gain = equilibrium * (1 - train_decay)
    before = ((1 - wait_decay) - wait_decay * ((1 - rest_decay) + train_gain * rest_decay)) / (
        1 + wait_decay * train_decay * rest_decay
    )
    at_centre = equilibrium + (before - equilibrium) * torch.exp(
        -central * readout_spacing / apparent
    )
    return proton_density * at_centre * torch.sin(angle) * torch.exp(-echo_time / t2star)


def time_of_flight(
    proton_density: Tensor,
    t1: Tensor,
    t2star: Tensor,
    repetition_time: float,
    echo_time: float,
    flip: float | Tensor,
    pulses_seen: Tensor,
) -> Tensor:
    """Gradient echo of spins that have seen ``pulses_seen`` pulses since entering the slab.

    ``Mz(n) = Mss + (1 - Mss) (E1 cos a)^n``; infinity gives the static tissue's steady state.
    """
    angle = torch.as_tensor(flip)
    decay = torch.exp(-repetition_time / t1)
    steady = (1 - decay) / (1 - decay * torch.cos(angle))
    approach = torch.pow(decay * torch.cos(angle), pulses_seen)
    magnetization = steady + (1 - steady) * approach
    return proton_density * magnetization * torch.sin(angle) * torch.exp(-echo_time / t2star)


def with_gadolinium(
    t1: Tensor, t2: Tensor, concentration: Tensor, r1: float, r2: float
) -> tuple[Tensor, Tensor]:
    """(T1, T2) in ms with ``concentration`` mM of agent: ``R' = R + r C``, r in 1/(ms mM)."""
    return 1 / (1 / t1 + r1 * concentration), 1 / (1 / t2 + r2 * concentration)


def flow_void(velocity: float, last_echo: float, thickness: float) -> float:
    """Share of through-flowing spins that see both the 90 and the 180 degree pulse of a slice.

    ``max(0, 1 - v TE / (2 d))`` for through-plane velocity v in mm/ms and slice thickness d in mm.
    """
    return max(0.0, 1.0 - velocity * last_echo / (2 * thickness))


def refocusing_factor(relative_flip: Tensor, refocusing: float) -> Tensor:
    """Spin-echo signal with all flip angles scaled by ``relative_flip``, over the ideal one.

    ``sin(b pi/2) sin^2(b beta/2)`` for the refocusing angle beta (radians).
    """
    ideal = math.sin(refocusing / 2) ** 2
    return (
        torch.sin(relative_flip * (math.pi / 2))
        * torch.sin(relative_flip * (refocusing / 2)).square()
        / ideal
    )
