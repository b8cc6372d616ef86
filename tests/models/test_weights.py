import json
import os
from pathlib import Path

import pytest
import torch

from omnisyn.errors import ModelError, UsageError
from omnisyn.models import weights as weights_module
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.card import CardDescription
from omnisyn.models.generator import Generator, build_generator
from omnisyn.models.hub.address import HubAddress
from omnisyn.models.weights import (
    find_weights,
    list_weights,
    load_card,
    load_weights,
    save_weights,
    verify_weights,
    weights_folder,
)

DESCRIPTION = CardDescription(
    name="tiny", recipe="test", trained_on="nothing", simulated=True, figures={"steps": 0}
)
NARROW = ModelSettings(width=4, condition_size=8)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return build_generator(NARROW, seed=3)


@pytest.fixture
def saved(tmp_path: Path, generator: Generator) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(path, generator, DESCRIPTION)
    return path


def test_float32_weights_come_back_bit_equal(tmp_path: Path, generator: Generator) -> None:
    save_weights(tmp_path / "tiny.safetensors", generator, DESCRIPTION, precision="float32")
    loaded = load_weights(tmp_path / "tiny.safetensors").generator
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_float16_weights_come_back_as_float32_nearby(saved: Path, generator: Generator) -> None:
    loaded = load_weights(saved)
    assert not loaded.generator.training
    for name, tensor in generator.state_dict().items():
        assert loaded.generator.state_dict()[name].dtype == torch.float32
        torch.testing.assert_close(
            loaded.generator.state_dict()[name], tensor, rtol=1e-3, atol=1e-4
        )


def test_card_says_what_the_file_is(saved: Path, generator: Generator) -> None:
    loaded = load_weights(saved)
    card = json.loads(saved.with_suffix(".json").read_text())
    assert card["sha256"] == loaded.sha256 == verify_weights(saved).sha256
    assert card["size"] == saved.stat().st_size
    assert card["model"]["width"] == 4
    assert card["parameters"] == sum(weight.numel() for weight in generator.parameters())
    assert card["simulated"] is True
    assert card["figures"] == {"steps": 0}
    assert loaded.card == load_card(saved)


def test_small_fits_into_sixteen_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(path, build_generator(ModelSettings()), DESCRIPTION)
    assert path.stat().st_size <= 16_000_000


def test_file_card_and_folder_and_run_mean_the_same_set(saved: Path) -> None:
    card = saved.with_suffix(".json")
    assert find_weights(saved) == find_weights(card) == find_weights(saved.parent) == card
    run = saved.parent / "run"
    (run / "final").mkdir(parents=True)
    for file in (saved, card):
        file.rename(run / "final" / file.name)
    assert find_weights(run) == run / "final" / "tiny.json"


def test_folder_with_two_sets_is_refused(saved: Path, generator: Generator) -> None:
    save_weights(saved.with_name("other.safetensors"), generator, DESCRIPTION)
    with pytest.raises(ModelError, match=r"several sets of weights \(other, tiny\)"):
        load_weights(saved.parent)


def test_shipped_sets_are_found_by_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved.parent / "tiny.clip.json").write_text("{}")
    monkeypatch.setattr(weights_module, "weights_folder", lambda: saved.parent)
    assert load_weights("tiny").card.name == "tiny"
    assert [card.name for card in list_weights()] == ["tiny"]
    with pytest.raises(ModelError, match="did you mean 'tiny'"):
        load_weights("tyni")


def test_what_ships_is_whole_small_and_credits_what_it_was_trained_on() -> None:
    cards = list_weights()
    if not cards:
        pytest.skip("no weights ship with this checkout")
    for card in cards:
        assert verify_weights(card.name).sha256 == card.sha256
        assert card.precision == "float16"
        assert card.size <= 16e6
        assert card.limits
        assert "not for diagnosis" in card.intended_use
        # Each kind of data that is named is thanked.
        thanks = " ".join(card.credits)
        for data, owner in (
            ("SynthSeg", "Billot"),
            ("Martinos", "Martinos"),
            ("ms_longitudinal", "Lesjak"),
        ):
            assert data not in card.trained_on or owner in thanks, (card.name, data)
        # Kept for validation.
        assert "ms_mni" not in card.trained_on


def test_shipped_sets_lie_in_the_package_or_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "omnisyn"
    package.mkdir()
    monkeypatch.setattr(weights_module.omnisyn, "__file__", str(package / "__init__.py"))
    assert weights_folder() is None
    (tmp_path / "weights").mkdir()
    # A folder of that name beside an installed package is nobody's promise.
    assert weights_folder() is None
    (tmp_path / "pyproject.toml").touch()
    assert weights_folder() == tmp_path / "weights"
    (package / "weights").mkdir()
    assert weights_folder() == package / "weights"


def test_unknown_name_is_refused_where_nothing_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "weights_folder", lambda: None)
    assert list_weights() == ()
    with pytest.raises(ModelError, match="there are no weights 'small'"):
        load_weights()


def test_hub_address_is_fetched_and_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def stand_in(address: HubAddress, patterns: list[str], *_: object, **__: object) -> Path:
        asked.append((str(address), patterns))
        return saved.parent

    monkeypatch.setattr(weights_module, "fetch_from_hub", stand_in)
    assert load_weights("hf-hub:org/tiny@v1").card.name == "tiny"
    pinned = f"hf-hub:org/tiny#sha256={verify_weights(saved).sha256}"
    assert load_weights(pinned).card.name == "tiny"
    # The folder is named by the commit.
    commit = f"hf-hub:org/tiny@{saved.parent.name}"
    assert asked[:2] == [("hf-hub:org/tiny@v1", ["*.json"]), (commit, [saved.name])]
    asked.clear()
    with pytest.raises(ModelError, match=r"^tiny\.safetensors: these are not the pinned weights"):
        load_weights("hf-hub:org/tiny#sha256=" + "0" * 64)
    assert [patterns for _, patterns in asked] == [["*.json"]]


def test_cut_short_file_is_refused_with_both_sizes(saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[:-10])
    with pytest.raises(
        ModelError, match=rf"expected {len(content)} bytes, found {len(content) - 10}"
    ):
        load_weights(saved)


@pytest.mark.parametrize("place", [0, 100, -1])
def test_bit_flip_is_refused_before_anything_is_read(saved: Path, place: int) -> None:
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ModelError, match=r"SHA-256 is [0-9a-f]{12}…, the card says"):
        load_weights(saved)
    with pytest.raises(ModelError, match="damaged"):
        verify_weights(saved)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_file_is_refused_whatever_its_name(
    saved: Path, generator: Generator, zipped: bool
) -> None:
    torch.save(generator.state_dict(), saved, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="pickled PyTorch file"):
        load_weights(saved)
    pickled = saved.rename(saved.with_suffix(".pt"))
    with pytest.raises(ModelError, match="no safetensors file"):
        load_weights(pickled)


def test_weights_of_another_width_are_refused_with_the_shapes(saved: Path) -> None:
    change_card(saved, model={"width": 8, "condition_size": 8})
    with pytest.raises(ModelError, match=r"another shape, first .*: \[.*\] for \[.*\]"):
        load_weights(saved)


def test_weights_of_another_backbone_are_refused_with_the_names(saved: Path) -> None:
    change_card(saved, model={"backbone": "swinunetr", "width": 12, "condition_size": 8})
    with pytest.raises(ModelError, match=r"tensors are missing, first .* are not the model's"):
        load_weights(saved)


def test_weights_for_other_targets_are_refused(saved: Path) -> None:
    change_card(saved, prompts=["T1", "T9"])
    with pytest.raises(ModelError, match=r"differ in .*T9"):
        load_weights(saved)


def test_file_without_card_and_card_without_file_are_refused(saved: Path) -> None:
    hidden = saved.rename(saved.with_name("hidden.safetensors"))
    with pytest.raises(ModelError, match="the weights' file is missing"):
        load_weights(saved.with_suffix(".json"))
    with pytest.raises(ModelError, match="the weights have no card"):
        load_weights(hidden)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"name": "x", "colour": 1}'])
def test_broken_card_is_refused(saved: Path, content: str) -> None:
    saved.with_suffix(".json").write_text(content)
    with pytest.raises(ModelError, match=r"^tiny\.json: "):
        load_weights(saved)


def test_card_may_not_point_out_of_its_folder(saved: Path) -> None:
    change_card(saved, file="../tiny.safetensors")
    with pytest.raises(ModelError, match="'file' is not valid"):
        load_weights(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_float16_cannot_hold_are_not_saved(tmp_path: Path, value: float) -> None:
    diverged = build_generator(NARROW)
    with torch.no_grad():
        next(diverged.parameters()).fill_(value)
    with pytest.raises(ModelError, match="cannot be stored as float16"):
        save_weights(tmp_path / "bad.safetensors", diverged, DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def change_card(saved: Path, **changes: object) -> None:
    path = saved.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("content", ["[" * 100_000, '{"size": 1' + "0" * 5000 + "}"])
def test_card_too_deep_or_with_a_number_too_long_is_refused(saved: Path, content: str) -> None:
    saved.with_suffix(".json").write_text(content)
    with pytest.raises(ModelError, match=r"^tiny\.json: the card cannot be read"):
        load_weights(saved)
    deep = json.loads('{"a":' * 900 + "1" + "}" * 900)
    save_weights(saved, build_generator(NARROW), DESCRIPTION)
    change_card(saved, figures=deep)
    with pytest.raises(ModelError, match=r"^tiny\.json: the card cannot be read"):
        load_card(saved)


def test_pipes_and_folders_in_the_place_of_files_are_refused(saved: Path) -> None:
    card = saved.with_suffix(".json")
    saved.unlink()
    for put in (os.mkfifo, os.mkdir):
        put(saved)
        with pytest.raises(ModelError, match=r"cannot be read \(not a regular file"):
            load_weights(card)
        saved.unlink() if saved.is_fifo() else saved.rmdir()
    saved.touch()
    card.unlink()
    os.mkfifo(card)
    with pytest.raises(ModelError, match=r"cannot be read \(not a regular file") as refusal:
        load_weights(saved)
    assert str(saved.parent) not in str(refusal.value)


@pytest.mark.parametrize(
    "model", [{"backbone": "abacus"}, {"width": 4, "condition_size": 8, "fusion_heads": 3}]
)
def test_card_of_a_model_that_cannot_be_built_is_refused(
    saved: Path, model: dict[str, object]
) -> None:
    change_card(saved, model=model)
    with pytest.raises(ModelError, match=r"tiny\.safetensors: .* cannot be built"):
        load_weights(saved)


def test_names_that_are_empty_too_long_or_dots_are_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is empty"):
        find_weights("")
    with pytest.raises(ModelError, match="there are no weights"):
        find_weights("n" * 300)
    with pytest.raises(ModelError, match=f"^{tmp_path.name}: the folder holds no weights"):
        find_weights(".")
