import re

import pytest
import torch

from omnisyn.errors import InputError
from omnisyn.settings import parse
from omnisyn.simulate.acquisition import Flow, signal_table
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.protocols import (
    Effects,
    Protocol,
    SiteProfile,
    draw_acquisition,
    draw_scanner,
)
from omnisyn.simulate.tissues import draw_tissues, tissue_index

HOSPITALS = [f"hospital{number:02d}" for number in range(1, 14)]
ANYWHERE = load_cohort("anywhere").profiles["anywhere-brain"].scanners
EXTERNALS = [f"external{number}" for number in range(1, 14)]

# Frozen, each as lower and upper limit: signal-to-noise, receive variation, neck falloff, receive
# correction, motion probability (one number), motion (mm), misregistration (mm), misregistration
# (degrees). The shipped weights are scored on these profiles: they are never eased.
FROZEN_EFFECTS = {
    "external1": (20, 50, 0.1, 0.22, 1.4, 2.6, 0.3, 0.8, 0.25, 0.5, 2.0, 0.3, 1.0, 0.1, 0.6),
    "external2": (18, 50, 0.1, 0.22, 1.4, 2.6, 0.3, 0.8, 0.25, 0.5, 2.0, 0.3, 1.0, 0.1, 0.6),
    "external3": (15, 38, 0.08, 0.2, 1.4, 2.6, 0.2, 0.7, 0.3, 0.5, 2.2, 0.3, 1.0, 0.1, 0.6),
    "external4": (25, 60, 0.1, 0.24, 1.4, 2.6, 0.3, 0.8, 0.2, 0.4, 1.8, 0.3, 0.9, 0.1, 0.5),
    "external5": (15, 35, 0.08, 0.2, 1.2, 2.0, 0.2, 0.7, 0.3, 0.5, 2.2, 0.3, 1.0, 0.1, 0.6),
    "external6": (15, 40, 0.08, 0.22, 1.5, 3.0, 0.2, 0.7, 0.25, 0.5, 2.0, 0.3, 1.0, 0.1, 0.6),
    "external7": (18, 45, 0.08, 0.2, 1.3, 2.4, 0.3, 0.8, 0.2, 0.4, 1.8, 0.3, 0.9, 0.1, 0.5),
    "external8": (22, 55, 0.1, 0.24, 1.4, 2.6, 0.3, 0.8, 0.25, 0.5, 2.0, 0.3, 1.0, 0.1, 0.6),
    "external9": (15, 36, 0.08, 0.2, 1.4, 2.6, 0.2, 0.7, 0.3, 0.5, 2.2, 0.3, 1.0, 0.1, 0.6),
    "external10": (22, 55, 0.1, 0.22, 1.1, 1.6, 0.3, 0.8, 0.2, 0.4, 1.6, 0.3, 0.9, 0.1, 0.6),
    "external11": (15, 30, 0.08, 0.2, 1.4, 2.8, 0.1, 0.5, 0.35, 0.6, 2.4, 0.3, 1.0, 0.1, 0.6),
    "external12": (15, 40, 0.08, 0.2, 1.1, 1.8, 0.2, 0.7, 0.3, 0.5, 2.0, 0.3, 1.0, 0.1, 0.6),
    "external13": (20, 50, 0.1, 0.24, 1.3, 2.4, 0.2, 0.7, 0.25, 0.5, 2.0, 0.3, 1.0, 0.1, 0.6),
}  # fmt: skip


@pytest.fixture(scope="module")
def profiles() -> dict[str, SiteProfile]:
    return dict(load_cohort("hospitals").profiles)


@pytest.mark.parametrize("name", EXTERNALS)
def test_the_effects_of_external_sites_are_frozen(profiles, name):
    effects = profiles[name].effects
    assert FROZEN_EFFECTS[name] == (
        *effects.snr,
        *effects.receive_variation,
        *effects.neck_falloff,
        *effects.receive_correction,
        effects.motion_probability,
        *effects.motion_mm,
        *effects.misregistration_mm,
        *effects.misregistration_degrees,
    )


def test_the_reach_of_every_effect_is_realistic(profiles):
    for profile in profiles.values():
        low, high = profile.effects.snr
        assert 15 <= low < high <= 80
        assert profile.effects.misregistration_mm[1] <= 1.0


def test_training_hospitals_mostly_leave_the_fat_signal_alone(profiles):
    for contrast in ("T1c", "T2"):
        shares = [
            profiles[name].scanners[0].protocols[contrast].fat_suppressed for name in HOSPITALS
        ]
        assert 0.25 <= sum(shares) / len(shares) <= 0.40, contrast
    assert all(profiles[name].scanners[0].protocols["T1"].fat_suppressed == 0 for name in HOSPITALS)


def test_the_stand_in_for_the_public_set_has_its_setting(profiles):
    profile = profiles["external2"]
    assert [(s.vendor, s.field_tesla) for s in profile.scanners] == [("GE", 3.0), ("Philips", 1.5)]
    assert profile.contrasts == ("T1", "T1c", "T2")
    for scanner in profile.scanners:
        assert all(protocol.fat_suppressed == 0 for protocol in scanner.protocols.values())
    assert "SIMULATED" in profile.description


def test_no_external_scanner_stands_in_a_training_hospital(profiles):
    known = {(s.vendor, s.model) for name in HOSPITALS for s in profiles[name].scanners}
    external = {(s.vendor, s.model) for name in EXTERNALS for s in profiles[name].scanners}
    assert not known & external


def test_several_training_hospitals_carry_all_six_contrasts(profiles):
    assert sum(len(profiles[name].contrasts) == 6 for name in HOSPITALS) >= 4
    assert all({"T1", "T1c", "T2"} <= set(profiles[name].contrasts) for name in HOSPITALS)


def test_every_protocol_cites_its_rows_or_calls_itself_an_estimate(profiles):
    for name, profile in profiles.items():
        for scanner in profile.scanners:
            for contrast, protocol in scanner.protocols.items():
                assert re.search(r"\b[RC]\d\d[a-d]?\b", protocol.source), (name, contrast)


def test_fluid_and_fat_are_nulled_where_inversion_is_meant_to(profiles):
    for name, profile in profiles.items():
        for scanner in profile.scanners:
            flair = scanner.protocols.get("FLAIR")
            if flair is not None:
                low, high = flair.inversion_time_ms
                assert 2100 <= low < high <= 2500, name
            low, high = scanner.protocols["T2"].suppressed_inversion_time_ms or (0, 0)
            if high:
                expected = (195, 235) if scanner.field_tesla == 3 else (100, 180)
                assert expected[0] <= low < high <= expected[1], name


def test_training_anywhere_sees_every_kind_of_sequence_in_brains():
    """What label maps are scanned with; PD and time of flight are left to the hospitals."""
    profile = load_cohort("anywhere").profiles["anywhere-brain"]
    kinds = sequences(profile)
    gradient_echoes = {"spoiled_gradient_echo", "mprage"}
    spin_echoes = {"spin_echo", "fast_spin_echo", "inversion_recovery"}
    assert kinds["T1"] == kinds["T1c"] == gradient_echoes | spin_echoes
    trains = {scanner.protocols["FLAIR"].echo_train[1] > 60 for scanner in profile.scanners}
    assert trains == {False, True}
    flips = [
        scanner.protocols["T1"].flip_degrees[0]
        for scanner in profile.scanners
        if scanner.protocols["T1"].sequence == "spoiled_gradient_echo"
    ]
    # In 3D and, with large angles, in 2D.
    assert min(flips) < 30 < max(flips)
    echoes = [scanner.protocols["T2"].echo_time_ms for scanner in profile.scanners]
    assert min(low for low, _ in echoes) < 80
    assert max(high for _, high in echoes) > 120
    assert 0.3 < profile.brain_extracted < 0.8


def test_training_anywhere_sees_necks_by_spin_echoes():
    profile = load_cohort("anywhere").profiles["anywhere-neck"]
    kinds = sequences(profile)
    assert kinds["T1"] == kinds["T1c"] == {"spin_echo", "fast_spin_echo"}
    assert profile.brain_extracted == 0


def test_training_anywhere_sees_four_contrasts_at_many_fields():
    for profile in load_cohort("anywhere").profiles.values():
        assert profile.contrasts == ("T1", "T1c", "T2", "FLAIR")
        assert {1.0, 1.5, 3.0} <= {scanner.field_tesla for scanner in profile.scanners}


def sequences(profile):
    """By contrast, the kinds of sequence that a profile's scanners have."""
    return {
        name: {scanner.protocols[name].sequence for scanner in profile.scanners}
        for name in profile.contrasts
    }


@pytest.mark.parametrize("scanner", ANYWHERE, ids=lambda scanner: scanner.model)
def test_fluid_is_mostly_dark_in_flair_and_bright_in_t2_on_every_scanner_anywhere(scanner):
    generator = torch.Generator().manual_seed(1)
    fluid, white = tissue_index("CSF"), tissue_index("white_matter")
    ratios = {"T2": [], "FLAIR": []}
    for _ in range(16):
        tissues = draw_tissues(generator, scanner.field_tesla)
        for name, found in ratios.items():
            acquisition = draw_acquisition(name, scanner, 3.0, generator)
            table = signal_table(acquisition, tissues, Flow(0.3, 0.05), torch.tensor([0.5]))
            signal = (table.water + table.fat)[0].abs()
            found.append(float(signal[fluid] / signal[white]))
    assert sorted(ratios["FLAIR"])[8] < 0.45
    assert min(ratios["T2"]) > 1.5


def test_a_repeated_t1_keeps_its_times(profiles):
    assert profiles["hospital01"].scanners[0].repeats_t1_with_agent
    assert not profiles["external8"].scanners[0].repeats_t1_with_agent


def test_drawn_parameters_lie_in_the_protocols_ranges(profiles):
    generator = torch.Generator().manual_seed(3)
    scanner = draw_scanner(profiles["hospital05"], generator)
    seen = set()
    for _ in range(60):
        drawn = draw_acquisition("T2", scanner, 4.0, generator)
        seen.add((drawn.sequence, drawn.fat_suppression))
        assert 6800 <= drawn.repetition_time_ms <= 7640
        assert 92 <= drawn.echo_time_ms <= 99
        assert (drawn.inversion_time_ms is None) == (drawn.sequence == "fast_spin_echo")
        assert drawn.last_echo_ms >= drawn.echo_time_ms
    assert seen == {("fast_spin_echo", "none"), ("inversion_recovery", "inversion")}


def test_a_site_draws_its_scanners_by_their_share(profiles):
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_scanner(profiles["external2"], generator).vendor for _ in range(200)]
    assert 70 < drawn.count("GE") < 130


def _protocol(**changes):
    return {
        "source": "C01",
        "sequence": "spin_echo",
        "repetition_time_ms": [500, 600],
        "echo_time_ms": [10, 20],
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"echo_time_ms": [20, 10]}, "above"),
        ({"sequence": "mprage"}, "inversion_time_ms"),
        ({"fat_suppression": "inversion"}, "suppressed_inversion_time_ms"),
        ({"agents": ["gadolinum"]}, "gadolinum"),
        ({"fat_suppresed": 0.2}, "fat_suppressed"),
    ],
)
def test_an_unfit_protocol_is_refused_with_the_reason(changes, words):
    with pytest.raises(InputError, match=words):
        parse(Protocol, _protocol(**changes), "test")


def test_an_agent_outside_t1c_is_refused(profiles):
    mapping = profiles["hospital01"].model_dump()
    mapping["scanners"][0]["protocols"]["T2"]["agents"] = ("gadobutrol",)
    with pytest.raises(InputError, match="agents belong to T1c"):
        parse(SiteProfile, mapping, "test")


def test_effects_know_their_keys():
    with pytest.raises(InputError, match="snr"):
        parse(Effects, {"snrr": [1, 2]}, "test")


def test_a_site_puts_its_shares_of_fat_suppression_in_the_place_of_the_protocols(profiles):
    profile = profiles["external2"]
    changed = profile.model_copy(update={"fat_suppressed": {"T2": 1.0}})
    before, after = (
        draw_scanner(each, torch.Generator().manual_seed(1)) for each in (profile, changed)
    )
    assert after.protocols["T2"].fat_suppressed == 1.0 != before.protocols["T2"].fat_suppressed
    assert after.protocols["T1"] == before.protocols["T1"]
    with pytest.raises(InputError, match="fat_suppressed: 'T9' is none of T1"):
        parse(SiteProfile, profile.model_dump() | {"fat_suppressed": {"T9": 0.5}})
