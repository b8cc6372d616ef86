from dataclasses import replace

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.simulate.acquisition import Flow, signal_table
from omnisyn.simulate.any_protocol import (
    HELD_OUT,
    WIDE_RANGES,
    any_protocols,
    draw_any_protocol,
    draw_outside,
    draw_times,
    is_held_out,
    nulling_time,
)
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.protocols import draw_acquisition
from omnisyn.simulate.tissues import draw_tissues, tissue_index

PROFILES = {**load_cohort("hospitals").profiles, **load_cohort("anywhere").profiles}
SHIPPED = [
    (scanner, name)
    for profile in PROFILES.values()
    for scanner in profile.scanners
    for name in scanner.protocols
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def series(name="T2", profile="hospital08", seed=0, **changes):
    scanner = PROFILES[profile].scanners[0]
    return replace(draw_acquisition(name, scanner, 4.0, generator(seed)), **changes)


def times(acquisition):
    return (
        acquisition.repetition_time_ms,
        acquisition.echo_time_ms,
        acquisition.inversion_time_ms,
    )


def inside(value, limits):
    return limits[0] <= value <= limits[1]


def test_every_shipped_series_gets_times_of_its_ranges_that_nothing_holds_out():
    draws = generator()
    for scanner, name in SHIPPED:
        for _ in range(4):
            own = draw_acquisition(name, scanner, 4.0, draws)
            found = draw_any_protocol(own, draws)
            assert not is_held_out(found)
            assert any(
                name in ranges.contrasts
                and found.sequence in ranges.sequences
                and inside(found.repetition_time_ms, ranges.repetition_time_ms)
                and inside(found.echo_time_ms, ranges.echo_time_ms)
                for ranges in WIDE_RANGES
            )
            assert (found.inversion_time_ms is None) == (own.inversion_time_ms is None)
            changed = ("repetition_time_ms", "echo_time_ms", "inversion_time_ms")
            kept = {fact: getattr(own, fact) for fact in changed}
            assert replace(found, fat_suppression=own.fat_suppression, **kept) == own


def test_a_train_fits_between_its_times():
    draws = generator()
    for scanner, name in SHIPPED:
        found = draw_any_protocol(draw_acquisition(name, scanner, 4.0, draws), draws)
        if found.sequence == "mprage":
            half = found.echo_train * found.echo_spacing_ms / 2
            assert half <= found.inversion_time_ms <= found.repetition_time_ms - half
        elif found.sequence in ("fast_spin_echo", "inversion_recovery"):
            assert found.echo_time_ms >= found.echo_spacing_ms
            rest = found.repetition_time_ms - (found.inversion_time_ms or 0.0)
            assert rest > found.last_echo_ms


def test_the_ranges_are_filled_from_end_to_end():
    draws = generator()
    own = series()
    found = [draw_any_protocol(own, draws) for _ in range(300)]
    for fact, low, high in (("echo_time_ms", 40, 180), ("repetition_time_ms", 2000, 8000)):
        values = sorted(getattr(each, fact) for each in found)
        width = high - low
        assert values[0] < low + 0.05 * width
        assert values[-1] > high - 0.05 * width
        assert abs(values[150] - (low + high) / 2) < 0.12 * width
    suppressed = sum(each.fat_suppressed for each in found) / len(found)
    assert 0.3 < suppressed < 0.5


def test_a_gradient_echo_keeps_to_times_of_its_kind():
    draws = generator()
    for own, limits in ((10.0, (6, 25)), (200.0, (120, 350))):
        acquisition = series("T1", "hospital13", repetition_time_ms=own)
        for _ in range(20):
            assert inside(draw_any_protocol(acquisition, draws).repetition_time_ms, limits)


def test_fat_that_inversion_nulls_stays_nulled():
    acquisition = series(
        sequence="inversion_recovery", fat_suppression="inversion", inversion_time_ms=170.0
    )
    found = [draw_any_protocol(acquisition, generator(seed)) for seed in range(20)]
    assert {each.fat_suppression for each in found} == {"inversion"}
    # ln 2 of a T1 of 330 ms at 3 T, give or take a tenth.
    assert all(205 < each.inversion_time_ms < 252 for each in found)


def test_the_nulling_time_nulls():
    acquisition = series("FLAIR", repetition_time_ms=9000.0)
    acquisition = replace(acquisition, inversion_time_ms=nulling_time("CSF", acquisition))
    tissues = draw_tissues(generator(), acquisition.field_tesla)
    mean = replace(tissues, t1_ms=torch.full_like(tissues.t1_ms, 4200.0))
    table = signal_table(acquisition, mean, Flow(0.3, 0.05), torch.tensor([0.5]))
    assert float(table.water[0, tissue_index("CSF")]) == pytest.approx(0.0, abs=1e-5)


def test_fluid_is_mostly_dark_in_flair_whatever_its_times():
    draws, ratios = generator(), []
    fluid, white = tissue_index("CSF"), tissue_index("white_matter")
    for seed in range(60):
        found = draw_any_protocol(series("FLAIR", seed=seed), draws)
        tissues = draw_tissues(draws, found.field_tesla)
        table = signal_table(found, tissues, Flow(0.3, 0.05), torch.tensor([0.5]))
        signal = (table.water + table.fat)[0].abs()
        ratios.append(float(signal[fluid] / signal[white]))
    assert sorted(ratios)[30] < 0.45
    assert sorted(ratios)[54] < 1.0


@pytest.mark.parametrize("name", NAMES)
def test_times_alone_are_those_of_some_sequence_of_the_contrast(name):
    draws, begins = generator(), set()
    having = [ranges for ranges in WIDE_RANGES if name in ranges.contrasts]
    for _ in range(60):
        found = draw_times(name, 3.0, draws)
        for fact, value in found.items():
            assert not any(low < value < high for low, high in HELD_OUT[name].get(fact, ()))
        fitting = [
            ranges
            for ranges in having
            if inside(found["repetition_time_ms"], ranges.repetition_time_ms)
            and inside(found["echo_time_ms"], ranges.echo_time_ms)
            and ("inversion_time_ms" in found)
            == ("inversion_recovery" in ranges.sequences or "mprage" in ranges.sequences)
        ]
        assert fitting
        begins |= {fitting[0].source}
    assert len(begins) > 1 or len(having) == 1


def test_the_inversion_time_of_a_flair_nulls_fluid_at_either_field():
    draws = generator()
    for field in (1.5, 3.0):
        found = draw_times("FLAIR", field, draws)
        acquisition = series(
            "FLAIR",
            repetition_time_ms=found["repetition_time_ms"] - 2 * found["echo_time_ms"],
            field_tesla=field,
        )
        null = nulling_time("CSF", replace(acquisition, echo_train=1, echo_spacing_ms=0.0))
        assert found["inversion_time_ms"] == pytest.approx(null, rel=0.12)


def test_numbers_are_drawn_evenly_beside_the_bands():
    draws, bands = generator(), ((2.0, 3.0), (5.0, 9.0))
    found = [draw_outside((0.0, 10.0), bands, draws) for _ in range(500)]
    shares = [sum(inside(each, limits) for each in found) / 500 for limits in ((0, 2), (3, 5))]
    assert shares == pytest.approx([0.4, 0.4], abs=0.07)
    assert not any(low < each < high for each in found for low, high in bands)
    assert {draw_outside((4.0, 4.5), bands, draws) < 5 for _ in range(20)} == {True}
    assert all(draw_outside((2.5, 3.5), bands, draws) >= 3 for _ in range(20))
    with pytest.raises(ValueError, match="nothing is left"):
        draw_outside((2.1, 2.9), bands, draws)


def test_bands_are_ordered_and_apart():
    for bands in (bands for facts in HELD_OUT.values() for bands in facts.values()):
        ends = [end for band in bands for end in band]
        assert ends == sorted(set(ends))


def test_a_share_of_the_series_is_drawn_anew_and_all_that_are_held_out():
    plain = {str(number): series(echo_time_ms=100.0) for number in range(200)}
    plain["held out"] = series(echo_time_ms=90.0)
    # A TR between the bands, so that nothing but TE decides.
    plain = {name: replace(each, repetition_time_ms=4000.0) for name, each in plain.items()}
    for share, low, high in ((0.3, 0.2, 0.4), (1.0, 1.0, 1.0), (1e-9, 0.0, 0.02)):
        found = any_protocols(plain, share, generator())
        assert list(found) == list(plain)
        anew = sum(times(found[name]) != times(plain[name]) for name in plain) / len(plain)
        assert low <= anew <= high
        assert times(found["held out"]) != times(plain["held out"])
        assert not any(is_held_out(each) for each in found.values())
    assert any_protocols(plain, 0.5, generator(1)) == any_protocols(plain, 0.5, generator(1))


def test_a_sequence_without_ranges_is_refused():
    with pytest.raises(KeyError, match="PD by mprage"):
        draw_any_protocol(series("PD", sequence="mprage"), generator())
