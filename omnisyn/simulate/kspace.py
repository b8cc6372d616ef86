"""K-space effects as one small matrix per image axis.

Truncation, zero filling and apodization of a Cartesian acquisition act on rows and columns apart:
each is ``inverse DFT · diag(window) · DFT``, a real symmetric matrix. Motion between phase-encode
lines multiplies line k by ``exp(-2 pi i k d(k))`` (Fourier shift theorem), a complex matrix along
the phase-encode axis. Two dense products per slice are cheaper than Fourier transforms here, and
run alike on any device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """One axis as acquired: share of the k-space lines measured, share of them tapered."""

    acquired: float
    taper: float


def line_frequencies(size: int) -> Tensor:
    """Signed line numbers in DFT order."""
    lines: Tensor = torch.fft.fftfreq(size, d=1.0 / size, dtype=torch.float64)
    return lines


def window(size: int, sampling: Sampling) -> Tensor:
    """Weight per k-space line: one inside, raised cosine over the taper, zero when not measured.

    With ``taper`` 0 the cut is sharp (full Gibbs ringing).
    """
    half = sampling.acquired * size / 2
    distance = line_frequencies(size).abs()
    start = half * (1 - sampling.taper)
    ramp = ((distance - start) / max(half - start, 1e-9)).clamp(0.0, 1.0)
    weight = 0.5 * (1 + torch.cos(torch.pi * ramp))
    return torch.where(distance > half, torch.zeros_like(weight), weight)


def axis_operator(size: int, sampling: Sampling) -> Tensor:
    """The real ``[size, size]`` matrix of sampling one axis."""
    return _line_operator(window(size, sampling).to(torch.complex128)).real.float()


def motion_operator(size: int, sampling: Sampling, displacement: Tensor) -> tuple[Tensor, Tensor]:
    """(real, imaginary) matrices of an axis whose line k saw the object moved.

    ``displacement`` is in pixels, ``[size]``, in order of ascending line number (the order of
    acquisition assumed here).
    """
    lines = line_frequencies(size)
    shift = torch.fft.ifftshift(displacement.double())
    phase = torch.exp(-2j * torch.pi * lines * shift / size)
    operator = _line_operator(window(size, sampling) * phase)
    return operator.real.float(), operator.imag.float()


def noise_gain(operator: Tensor) -> float:
    """Standard deviation of white unit noise after the operator."""
    return float(operator.square().sum(dim=1).mean().sqrt())


def _line_operator(weights: Tensor) -> Tensor:
    size = len(weights)
    spectrum = torch.fft.fft(torch.eye(size, dtype=torch.complex128), dim=0)
    operator: Tensor = torch.fft.ifft(weights[:, None] * spectrum, dim=0)
    return operator
