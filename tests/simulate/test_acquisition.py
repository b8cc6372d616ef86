from dataclasses import replace

import pytest
import torch

from omnisyn.simulate.acquisition import Acquisition, Flow, signal_table
from omnisyn.simulate.tissues import draw_tissues, tissue_index

FLOW = Flow(arterial=0.3, venous=0.05)
DEPTHS = torch.arange(40) + 0.5
SPIN_ECHO = Acquisition(
    contrast="T1",
    sequence="spin_echo",
    field_tesla=3.0,
    repetition_time_ms=650.0,
    echo_time_ms=10.0,
    inversion_time_ms=None,
    flip_degrees=90.0,
    refocusing_degrees=180.0,
    echo_train=1,
    echo_spacing_ms=10.0,
    fat_suppression="none",
    fat_left=0.17,
    agent=None,
    magnetization_transfer=0.0,
    slab_mm=40.0,
    slice_thickness_mm=5.0,
)
FAST = replace(
    SPIN_ECHO,
    contrast="T2",
    sequence="fast_spin_echo",
    repetition_time_ms=4500.0,
    echo_time_ms=95.0,
    echo_train=16,
    echo_spacing_ms=9.0,
)
FLAIR = replace(
    FAST,
    contrast="FLAIR",
    sequence="inversion_recovery",
    repetition_time_ms=9000.0,
    inversion_time_ms=2450.0,
)
FLIGHT = replace(
    SPIN_ECHO,
    contrast="MRA",
    sequence="time_of_flight",
    repetition_time_ms=23.0,
    echo_time_ms=3.5,
    flip_degrees=18.0,
)
PREPARED = replace(
    SPIN_ECHO,
    sequence="mprage",
    repetition_time_ms=2300.0,
    echo_time_ms=3.0,
    inversion_time_ms=900.0,
    flip_degrees=9.0,
    echo_train=176,
    echo_spacing_ms=7.0,
)
SPOILED = replace(FLIGHT, contrast="T1", sequence="spoiled_gradient_echo", flip_degrees=20.0)


@pytest.fixture
def tissues():
    return draw_tissues(torch.Generator().manual_seed(0), 3.0)


def _whole(acquisition, tissues):
    table = signal_table(acquisition, tissues, FLOW, DEPTHS)
    return table.water + table.fat


def _signal(acquisition, tissues, *names):
    whole = _whole(acquisition, tissues)[0]
    return [float(whole[tissue_index(name)]) for name in names]


def test_t1_orders_fat_above_white_above_grey_above_fluid(tissues):
    for acquisition in (SPIN_ECHO, PREPARED, SPOILED):
        fat, white, grey, fluid = _signal(
            acquisition, tissues, "fat_subcutaneous", "white_matter", "grey_matter", "CSF"
        )
        assert fat > white > grey > fluid, acquisition.sequence


def test_low_field_keeps_the_order_of_tissues():
    tissues = draw_tissues(torch.Generator().manual_seed(0), 0.5)
    low = [replace(each, field_tesla=0.5) for each in (SPIN_ECHO, FAST, FLAIR)]
    names = ("fat_subcutaneous", "white_matter", "grey_matter", "CSF")
    fat, white, grey, fluid = _signal(low[0], tissues, *names)
    assert fat > white > grey > fluid
    _, white, grey, fluid = _signal(low[1], tissues, *names)
    assert fluid > grey > white
    _, white, grey, fluid = _signal(low[2], tissues, *names)
    assert abs(fluid) < 0.4 * white


def test_t2_orders_fluid_above_grey_above_white_above_muscle(tissues):
    fluid, grey, white, muscle = _signal(
        FAST, tissues, "CSF", "grey_matter", "white_matter", "muscle"
    )
    assert fluid > grey > white > muscle


def test_flair_hides_fluid_and_keeps_oedema(tissues):
    fluid, oedema, white = _signal(FLAIR, tissues, "CSF", "oedema_brain", "white_matter")
    assert abs(fluid) < 0.25 * white
    assert oedema > 1.05 * white


def test_the_agent_brightens_mucosa_more_than_tumour_more_than_muscle(tissues):
    names = ("nasal_turbinate_mucosa", "NPC", "muscle", "white_matter")
    before = _signal(SPIN_ECHO, tissues, *names)
    after = _signal(replace(SPIN_ECHO, contrast="T1c", agent="gadobutrol"), tissues, *names)
    gain = [later / earlier for later, earlier in zip(after, before, strict=True)]
    assert gain[1] > gain[2] > gain[3] == pytest.approx(1.0, abs=0.02)
    assert gain[0] > gain[2]


def test_what_has_no_barrier_enhances_and_the_brain_does_not(tissues):
    names = (
        "nasal_turbinate_mucosa",
        "nasopharyngeal_mucosa",
        "choroid_plexus",
        "pituitary_anterior",
        "dura",
        "glioma_enhancing",
        "metastasis_brain",
        "white_matter",
        "grey_matter",
        "CSF",
        "MS_lesion",
    )
    vessels = ("blood_arterial", "blood_venous")
    enhanced = replace(PREPARED, contrast="T1c", agent="gadobutrol")
    before, after = (_signal(each, tissues, *names, *vessels) for each in (PREPARED, enhanced))
    gain = {
        name: later / earlier
        for name, later, earlier in zip((*names, *vessels), after, before, strict=True)
    }
    assert all(gain[name] > 1.2 for name in (*names[:7], *vessels)), gain
    assert all(gain[name] < 1.1 for name in names[7:]), gain


def test_arteries_are_void_in_spin_echo_and_brightest_in_time_of_flight(tissues):
    artery, muscle = _signal(FAST, tissues, "blood_arterial", "muscle")
    assert artery < 0.5 * muscle
    artery, muscle, vein = _signal(FLIGHT, tissues, "blood_arterial", "muscle", "blood_venous")
    assert artery > 2 * muscle
    assert vein < muscle


def test_inflowing_blood_saturates_with_depth_and_tissue_does_not(tissues):
    whole = _whole(FLIGHT, tissues)
    assert len(whole) == len(DEPTHS)
    artery = whole[:, tissue_index("blood_arterial")]
    assert artery[0] > artery[20] > artery[38]
    assert whole[:, tissue_index("muscle")].std() == pytest.approx(0, abs=1e-6)


def test_fat_is_the_fat_share_of_the_signal(tissues):
    table = signal_table(SPIN_ECHO, tissues, FLOW, DEPTHS)
    subcutaneous, brain = tissue_index("fat_subcutaneous"), tissue_index("white_matter")
    assert table.fat[0, subcutaneous] > 4 * table.water[0, subcutaneous]
    assert table.fat[0, brain] == 0


def test_stir_leaves_little_of_fat(tissues):
    fat_t1 = float(tissues.t1_ms[tissue_index("fat_subcutaneous")])
    stir = replace(
        FAST,
        sequence="inversion_recovery",
        inversion_time_ms=0.69 * fat_t1,
        fat_suppression="inversion",
    )
    fat, plain = (_signal(each, tissues, "fat_subcutaneous")[0] for each in (stir, FAST))
    assert abs(fat) < 0.05 * plain
    assert signal_table(stir, tissues, FLOW, DEPTHS).fat.abs().max() == 0


def test_magnetization_transfer_darkens_muscle_more_than_fat(tissues):
    names = ("muscle", "fat_subcutaneous")
    plain = _signal(FAST, tissues, *names)
    transferred = _signal(replace(FAST, magnetization_transfer=0.3), tissues, *names)
    loss = [1 - after / before for before, after in zip(plain, transferred, strict=True)]
    assert loss[0] == pytest.approx(0.3 * 0.54, rel=1e-3)
    assert loss[1] < 0.03


def test_slopes_predict_a_small_change_of_the_tissue(tissues):
    table = signal_table(FAST, tissues, FLOW, DEPTHS)
    index = tissue_index("NPC")
    spread = float(tissues.variation[index])
    changed = replace(
        tissues,
        t1_ms=tissues.t1_ms * (1 + 0.5 * spread),
        t2_ms=tissues.t2_ms * (1 + 0.4 * spread),
        proton_density=tissues.proton_density * (1 + 0.2 * spread),
    )
    direct = signal_table(FAST, changed, FLOW, DEPTHS).water[0, index]
    predicted = table.water[0, index] + 0.5 * table.slopes[0][0, index]
    assert float(predicted) == pytest.approx(float(direct), rel=0.01)
    assert table.slopes[2].abs().max() == table.slopes[3].abs().max() == 0


def test_the_flip_angle_counts_in_gradient_echo_only(tissues):
    assert signal_table(SPOILED, tissues, FLOW, DEPTHS).slopes[3].abs().max() > 0.01
    assert signal_table(SPIN_ECHO, tissues, FLOW, DEPTHS).slopes[3].abs().max() == 0
