"""Sites as settings: scanners, protocols and effects, each a range that patients are drawn from.

A profile is a TOML file in ``cohorts/profiles``. Times in ms, lengths in mm, fields in tesla.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field, model_validator

from omnisyn.contrasts import NAMES
from omnisyn.settings import Settings
from omnisyn.simulate.acquisition import Acquisition, FatSuppression, SequenceName
from omnisyn.simulate.sequences import AGENTS


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit {limits[0]} is above the upper {limits[1]}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
Count = Annotated[tuple[int, int], AfterValidator(_ordered)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
PositiveShares = Annotated[tuple[PositiveShare, PositiveShare], AfterValidator(_ordered)]
Vendor = Literal["GE", "Siemens", "Philips", "United Imaging", "Canon"]


def draw(limits: tuple[float, float], generator: torch.Generator) -> float:
    """A number drawn evenly from ``limits``."""
    unit = float(torch.rand((), generator=generator, dtype=torch.float64))
    return limits[0] + (limits[1] - limits[0]) * unit


def draw_count(limits: tuple[int, int], generator: torch.Generator) -> int:
    """A whole number drawn evenly from ``limits``, both included."""
    return int(torch.randint(limits[0], limits[1] + 1, (), generator=generator))


class Protocol(Settings):
    """How one contrast is acquired.

    ``source`` names rows of the project's protocol table (R: read in the text named there, C:
    recalled) or says "estimate". ``fat_suppression`` is the method used in the share
    ``fat_suppressed`` of patients; ``inversion`` turns a fast spin echo into STIR with
    ``suppressed_inversion_time_ms``.
    """

    source: str
    sequence: SequenceName
    repetition_time_ms: Range
    echo_time_ms: Range
    inversion_time_ms: Range | None = None
    flip_degrees: Range = (90.0, 90.0)
    refocusing_degrees: Range = (140.0, 180.0)
    echo_train: Count = (1, 1)
    echo_spacing_ms: Range = (10.0, 10.0)
    fat_suppression: FatSuppression = "spectral"
    fat_suppressed: Share = 0.0
    suppressed_inversion_time_ms: Range | None = None
    magnetization_transfer: Range = (0.0, 0.0)
    slab_mm: Range = (40.0, 40.0)
    agents: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Protocol:
        if self.sequence in ("inversion_recovery", "mprage") and self.inversion_time_ms is None:
            raise ValueError(f"{self.sequence} needs inversion_time_ms")
        if self.fat_suppression == "inversion" and self.suppressed_inversion_time_ms is None:
            raise ValueError("fat suppression by inversion needs suppressed_inversion_time_ms")
        unknown = set(self.agents) - set(AGENTS)
        if unknown:
            raise ValueError(f"unknown agent {min(unknown)!r}, known: {', '.join(AGENTS)}")
        return self


class Scanner(Settings):
    """One machine of a site; ``share`` of its patients are scanned on it."""

    vendor: Vendor
    model: str
    field_tesla: Annotated[float, Field(ge=0.2, le=7.0)]
    share: Share = 1.0
    protocols: dict[str, Protocol]

    @model_validator(mode="after")
    def _known_contrasts(self) -> Scanner:
        unknown = set(self.protocols) - set(NAMES)
        if unknown or "T1" not in self.protocols:
            raise ValueError(f"protocols must be among {', '.join(NAMES)} and hold T1")
        for name, protocol in self.protocols.items():
            if bool(protocol.agents) != (name == "T1c"):
                raise ValueError(f"{name}: agents belong to T1c, and T1c needs one")
        return self

    @property
    def repeats_t1_with_agent(self) -> bool:
        """Whether T1c is T1 again after the agent: then one patient's two series share times."""
        if "T1c" not in self.protocols:
            return False
        own = {"source", "agents", "fat_suppression", "fat_suppressed"}
        before, after = (self.protocols[name].model_dump(exclude=own) for name in ("T1", "T1c"))
        return before == after


class Effects(Settings):
    """What the scanner and the patient do to the ideal image.

    Attributes:
        snr: mean head signal over the standard deviation of the noise.
        receive_variation: log-amplitude of the receive field (0.1 = about 10 %).
        neck_falloff: by what factor the signal falls towards the lower end of the coil.
        receive_correction: share of the receive field (in the logarithm) that the vendor removes.
        transmit_variation: amplitude of the relative flip angle's deviation, centre-bright.
        motion_probability: share of series with motion between phase-encode lines.
        motion_mm: amplitude of that motion.
        misregistration_mm: length of the head's displacement between series.
        misregistration_degrees: rotation about the slice axis between series.
        acquired_readout, acquired_phase: share of the k-space lines measured along either axis.
        taper: share of the measured lines that the reconstruction tapers (small: ringing).
        bandwidth_hz: receiver bandwidth per pixel, which sets fat's chemical shift.
        saturation_ppm: off-resonance at which spectral fat suppression fails.
        phase_encode: image axis of phase encoding (rows: anterior-posterior).
        grain: how much tissues differ from one few millimetres to the next, in units of their
            smooth variation: what a fine-grained tissue shows alike in every contrast, and noise
            does not.
        venous_flow: mean through-plane velocity in veins, mm/ms; fast blood leaves a spin echo.
        blood_agent: agent in the blood, as a multiple of what is left 5 min after injection: more
            where it is scanned sooner.
        thickness_share: of the field of view's slice thickness, how much a series' own slices are:
            below 1 where scans of thinner slices come resampled onto the grid of thicker ones.
    """

    snr: Range
    receive_variation: Range
    neck_falloff: Range
    receive_correction: Range
    transmit_variation: Range
    motion_probability: Share
    motion_mm: Range
    misregistration_mm: Range
    misregistration_degrees: Range
    acquired_readout: Range
    acquired_phase: Range
    taper: Range
    bandwidth_hz: Range
    saturation_ppm: Range
    phase_encode: Literal["rows", "columns"]
    grain: Range = (0.0, 0.0)
    venous_flow: Range = (0.02, 0.12)
    blood_agent: Range = (1.0, 1.0)
    thickness_share: PositiveShares = (1.0, 1.0)


class SiteProfile(Settings):
    """A simulated hospital: what its patients' images have in common.

    ``centre_mm`` is the height of the field's middle above the head's origin (near the anterior
    commissure); ``brain_extracted`` the share of patients delivered as brain only,
    ``sinuses_kept`` the share of those whose extraction left the venous sinuses beside the brain.
    ``fat_suppressed`` has, by contrast, shares to put in the place of every protocol's own.
    """

    description: str
    scanners: Annotated[tuple[Scanner, ...], Field(min_length=1)]
    matrix: Annotated[int, Field(ge=32, le=1024)]
    field_of_view_mm: Range
    slices: Count
    slice_thickness_mm: Range
    gap_mm: Range
    centre_mm: Range
    tilt_degrees: Annotated[float, Field(ge=0.0, le=20.0)]
    brain_extracted: Share = 0.0
    sinuses_kept: Share = 0.0
    fat_suppressed: dict[str, Share] = Field(default_factory=dict)
    effects: Effects

    @model_validator(mode="after")
    def _known_contrasts(self) -> SiteProfile:
        if unknown := set(self.fat_suppressed) - set(NAMES):
            raise ValueError(f"fat_suppressed: {min(unknown)!r} is none of {', '.join(NAMES)}")
        return self

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The contrasts that every scanner of the site makes, in canonical order."""
        return tuple(
            name for name in NAMES if all(name in scanner.protocols for scanner in self.scanners)
        )


def draw_scanner(profile: SiteProfile, generator: torch.Generator) -> Scanner:
    """One of the site's scanners, by its share, with the site's shares of fat suppression."""
    shares = torch.tensor([scanner.share for scanner in profile.scanners])
    chosen = profile.scanners[int(torch.multinomial(shares, 1, generator=generator))]
    protocols = dict(chosen.protocols)
    for name, share in profile.fat_suppressed.items():
        if name in protocols:
            protocols[name] = protocols[name].model_copy(update={"fat_suppressed": share})
    return chosen.model_copy(update={"protocols": protocols})


def repeat_with_agent(before: Acquisition, after: Acquisition) -> Acquisition:
    """The series ``before`` again, with the agent and the fat suppression of ``after``."""
    return replace(
        before,
        contrast=after.contrast,
        agent=after.agent,
        fat_suppression=after.fat_suppression,
        fat_left=after.fat_left,
    )


def draw_acquisition(
    contrast: str, scanner: Scanner, slice_thickness_mm: float, generator: torch.Generator
) -> Acquisition:
    """The parameters of one series on ``scanner``. KeyError if it does not make ``contrast``."""
    protocol = scanner.protocols[contrast]
    suppressed = draw((0.0, 1.0), generator) < protocol.fat_suppressed
    sequence, inversion = protocol.sequence, protocol.inversion_time_ms
    if suppressed and protocol.fat_suppression == "inversion":
        sequence, inversion = "inversion_recovery", protocol.suppressed_inversion_time_ms
    agent = None
    if protocol.agents:
        agent = protocol.agents[draw_count((0, len(protocol.agents) - 1), generator)]
    return Acquisition(
        contrast=contrast,
        sequence=sequence,
        field_tesla=scanner.field_tesla,
        repetition_time_ms=draw(protocol.repetition_time_ms, generator),
        echo_time_ms=draw(protocol.echo_time_ms, generator),
        inversion_time_ms=None if inversion is None else draw(inversion, generator),
        flip_degrees=draw(protocol.flip_degrees, generator),
        refocusing_degrees=draw(protocol.refocusing_degrees, generator),
        echo_train=draw_count(protocol.echo_train, generator),
        echo_spacing_ms=draw(protocol.echo_spacing_ms, generator),
        fat_suppression=protocol.fat_suppression if suppressed else "none",
        fat_left=draw((0.10, 0.24), generator),
        agent=agent,
        magnetization_transfer=draw(protocol.magnetization_transfer, generator),
        slab_mm=draw(protocol.slab_mm, generator),
        slice_thickness_mm=slice_thickness_mm,
    )
