import json
from pathlib import Path

import pytest
import torch

from omnisyn.contrasts import contrast
from omnisyn.errors import ModelError
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.card import CardDescription
from omnisyn.models.generator import build_generator
from omnisyn.models.weights import find_weights, load_card, load_weights, save_weights
from omnisyn.models.weights import verify_weights as verify
from omnisyn.training.artefacts import prompt_sentences
from tests.tiny_weights import save_tiny, save_worded, tiny_tower


@pytest.fixture
def worded(tmp_path: Path) -> Path:
    return save_worded(tmp_path / "worded.safetensors")


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_tower_lies_beside_the_weights_and_gives_their_own_vectors(worded: Path) -> None:
    assert sorted(path.name for path in worded.parent.iterdir()) == [
        "worded.clip.json",
        "worded.json",
        "worded.safetensors",
        "worded.text.safetensors",
    ]
    loaded = load_weights(worded)
    with torch.no_grad():
        vector = loaded.text_tower().encode_text([contrast("T2").describe(fat_suppressed=True)])
    own = loaded.generator.condition(["T2"], [True])
    torch.testing.assert_close(vector, own, atol=5e-4, rtol=0)
    assert (vector - loaded.generator.condition(["T2"])).abs().max() > 5e-3


def test_tower_is_no_set_of_its_own(worded: Path) -> None:
    assert find_weights(worded.parent) == worded.with_suffix(".json")


def test_card_pins_the_tower(worded: Path) -> None:
    card = verify(worded)
    text = worded.with_name("worded.text.safetensors")
    assert card.text is not None
    assert card.text.size == text.stat().st_size
    assert card.tower_files == ("worded.clip.json", "worded.text.safetensors")
    damage(text)
    with pytest.raises(ModelError, match=r"^worded\.text\.safetensors: the weights are damaged"):
        verify(worded)


def test_tower_is_read_only_when_it_is_asked_for(worded: Path) -> None:
    worded.with_name("worded.clip.json").unlink()
    loaded = load_weights(worded)
    with pytest.raises(
        ModelError, match=r"^worded\.clip\.json: there is no text-image model; copy"
    ):
        loaded.text_tower()


def test_weights_without_a_tower_say_what_they_know(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "tiny.safetensors")
    card = verify(path)
    assert (card.text, card.tower_files) == (None, ())
    with pytest.raises(ModelError, match=r"tiny: these weights know the twelve canonical targets"):
        load_weights(path).text_tower()


def test_cards_from_before_there_were_towers_are_still_read(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "tiny.safetensors")
    card = json.loads(path.with_suffix(".json").read_text())
    del card["text"]
    path.with_suffix(".json").write_text(json.dumps(card))
    assert load_card(path).text is None
    assert load_weights(path).card.name == "tiny"


@pytest.mark.parametrize("mixed", ["both files", "the tower", "the description"])
def test_tower_of_other_weights_is_refused(worded: Path, tmp_path: Path, mixed: str) -> None:
    (tmp_path / "other").mkdir()
    other = save_tiny(tmp_path / "other" / "worded.safetensors", tower=tiny_tower(seed=4))
    names = {
        "both files": ["worded.clip.json", "worded.text.safetensors"],
        "the tower": ["worded.text.safetensors"],
        "the description": ["worded.clip.json"],
    }
    for name in names[mixed]:
        other.with_name(name).replace(worded.with_name(name))
    said = "not the ones of their card" if mixed == "the tower" else "belongs to other weights"
    with pytest.raises(ModelError, match=said):
        load_weights(worded).text_tower()
    with pytest.raises(ModelError, match=said):
        verify(worded)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_broken_description_is_refused_with_a_remedy(worded: Path, content: str) -> None:
    worded.with_name("worded.clip.json").write_text(content)
    with pytest.raises(ModelError, match=r"^worded\.clip\.json: .*copy or fetch the weights again"):
        load_weights(worded).text_tower()


def test_tower_whose_vectors_do_not_fit_is_not_saved(tmp_path: Path) -> None:
    generator = build_generator(ModelSettings(width=4, condition_size=8))
    description = CardDescription(name="x", recipe="x", trained_on="nothing", simulated=True)
    with pytest.raises(ModelError, match=r"its vectors have 128 values, the generator takes 8"):
        save_weights(tmp_path / "x.safetensors", generator, description, text=tiny_tower())
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_tower_gives_the_vectors_that_the_weights_were_trained_with() -> None:
    loaded = load_weights()
    with torch.no_grad():
        said = loaded.text_tower().encode_text(prompt_sentences())
    assert ((said * loaded.generator.target_vectors).sum(dim=1) > 0.99).all()


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("T1", "T1"),
        ("T1c", "T1c"),
        ("T2 FLAIR", "FLAIR"),
        ("T1 FS", "T1 fat-suppressed"),
        ("T2w fat sat", "T2 fat-suppressed"),
        ("Contrast-enhanced T1, fat suppressed, TR 600", "T1c fat-suppressed"),
        ("T2-weighted, TE 90 ms, fat suppressed", "T2 fat-suppressed"),
        ("PD-weighted, TE 20 ms", "PD"),
        ("MR angiography", "MRA"),
    ],
)
def test_the_shipped_tower_takes_what_people_write(text: str, prompt: str) -> None:
    loaded = load_weights()
    with torch.no_grad():
        said = loaded.text_tower().encode_text([text])[0]
    nearest = int((loaded.generator.target_vectors @ said).argmax())
    assert loaded.card.prompts[nearest] == prompt
