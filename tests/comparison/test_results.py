import json
import math
from dataclasses import replace

import pytest

from omnisyn.comparison.results import read_unit, write_unit
from omnisyn.errors import InputError
from omnisyn.evaluation.results import Example, Failure
from tests.comparison.made_up import constant, site_scores, unit


@pytest.fixture
def scored():
    scores = site_scores(constant(1.0, -0.1), patients=2)
    return replace(scores, failures=(Failure("sim-one", "sub-09", None, "no T1"),), notes=("one",))


def test_a_unit_comes_back_as_it_was_infinite_and_undefined_figures_too(tmp_path, scored):
    path = tmp_path / "unit.json"
    written = unit("small", [scored])
    assert math.isinf(scored.rows[0].values["psnr_head"])
    write_unit(path, replace(written, sweep={"0.1": math.inf}))
    assert read_unit(path) == replace(written, sweep={"0.1": math.inf})
    write_unit(path, written)
    assert math.isnan(read_unit(path).sweep["0.001"])


def test_the_file_is_strict_json(tmp_path, scored):
    def refuse(constant):
        raise AssertionError(constant)

    write_unit(tmp_path / "unit.json", unit("small", [scored]))
    text = (tmp_path / "unit.json").read_text("utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content["unit"]["scores"][0]["rows"][0]["values"]["psnr_head"] == "Infinity"


def test_example_slices_are_left_out(tmp_path, scored):
    example = Example("sim-one", "sub-00", "T1→T2", 3, 1.0, {})
    write_unit(tmp_path / "unit.json", unit("small", [replace(scored, examples=(example,))]))
    assert read_unit(tmp_path / "unit.json").scores == (scored,)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda text: "[]", "does not hold what a comparison keeps"),
        (lambda text: text.replace('"seed"', '"sead"'), "unit.json"),
        (lambda text: text.replace('"steps": 1000', '"steps": "many"'), "not valid"),
        (lambda text: text.replace('"slices": 20', '"slices": 2.5'), "not valid"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, scored, damage, match):
    path = tmp_path / "unit.json"
    write_unit(path, unit("small", [scored]))
    damaged = damage(path.read_text("utf-8"))
    assert damaged != path.read_text("utf-8")
    path.write_text(damaged, "utf-8")
    with pytest.raises(InputError, match=match) as caught:
        read_unit(path)
    assert caught.value.where == "unit.json"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_unit(tmp_path / "unit.json")
