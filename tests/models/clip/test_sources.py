import hashlib
import json
from pathlib import Path

import pytest
import torch

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.clip.families import open_clip
from omnisyn.models.clip.model import ClipSettings, build_clip
from omnisyn.models.clip.sources import find_source, read_vocabulary
from tests.hub_server import HubServer
from tests.models.clip.tiny_clip import TINY, publish, tiny_state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("tiny-clip"))


def put(hub: HubServer, name: str, folder: Path) -> None:
    hub.create(name)
    hub.add(name, {path.name: path.read_bytes() for path in folder.iterdir()})


def test_hub_model_brings_its_own_shape(hub: HubServer, folder: Path) -> None:
    put(hub, "org/name", folder)
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights="hf-hub:org/name"))
    assert model.embed_size == 16
    assert model.shape.mean == (0.4, 0.5, 0.6)


def test_hash_in_a_hub_address_is_checked(hub: HubServer, folder: Path) -> None:
    put(hub, "org/name", folder)
    right = hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
    build_clip(ClipSettings(architecture="ViT-B-32", weights=f"hf-hub:org/name#sha256={right}"))
    with pytest.raises(ModelError, match="not the pinned CLIP weights"):
        build_clip(
            ClipSettings(architecture="ViT-B-32", weights=f"hf-hub:org/name#sha256={'0' * 64}")
        )


def test_only_one_set_of_weights_is_fetched(hub: HubServer, folder: Path) -> None:
    put(hub, "org/name", folder)
    hub.add("org/name", {"open_clip_pytorch_model.bin": b"never asked for", "x.pth": b"nor this"})
    source = find_source("ViT-B-32", "hf-hub:org/name")
    assert source.file.name == "open_clip_model.safetensors"
    assert not [asked for asked in hub.requests if asked.endswith((".bin", ".pth"))]


@pytest.mark.parametrize(
    ("tag", "repository", "quick"),
    [
        ("openai", "timm/vit_base_patch32_clip_224.openai", True),
        ("laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", False),
    ],
)
def test_published_tag_comes_from_its_repository_with_its_activation(
    hub: HubServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tag: str,
    repository: str,
    quick: bool,
) -> None:
    put(hub, repository, folder)
    known = open_clip.open_clip_module()
    monkeypatch.setattr(known, "get_model_config", lambda name: json.loads(json.dumps(TINY)))
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights=tag))
    assert torch.equal(model.clip.text_projection, tiny_state()["text_projection"])
    assert model.shape.model.get("quick_gelu", False) is quick
    assert model.shape.mean == (0.48145466, 0.4578275, 0.40821073)


def test_scaling_of_a_tag_is_its_own() -> None:
    published = open_clip.published_tag("MobileCLIP-B", "datacompdr")
    shape = open_clip.named_shape("MobileCLIP-B", published)
    assert (shape.mean, shape.deviation) == ((0.0,) * 3, (1.0,) * 3)
    assert shape.interpolation == "bilinear"


def test_tag_of_another_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no published weights 'cc12m' .*laion2b_s34b_b79k"):
        find_source("ViT-B-32", "cc12m")


def test_several_files_are_not_chosen_from(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"several sets of CLIP weights \(a\.pth, b\.pth\)"):
        find_source("ViT-B-32", str(tmp_path))


def test_folder_without_weights_or_configuration_is_refused(tmp_path: Path, folder: Path) -> None:
    settings = ClipSettings(architecture="ViT-B-32", weights=str(tmp_path))
    with pytest.raises(ModelError, match="there are no CLIP weights"):
        build_clip(settings)
    weights = "open_clip_model.safetensors"
    (tmp_path / weights).write_bytes((folder / weights).read_bytes())
    with pytest.raises(ModelError, match=r"no valid open_clip_config\.json"):
        build_clip(settings)


def test_vocabulary_comes_from_folder_file_or_hub(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\nbright\n")
    hub.create("org/words")
    hub.add("org/words", {"vocab.txt": b"[PAD]\ndark\n"})
    assert read_vocabulary(None, tmp_path) == (("[PAD]", "bright"), True)
    assert read_vocabulary(str(tmp_path), None) == (("[PAD]", "bright"), True)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert read_vocabulary(str(tmp_path / "vocab.txt"), None) == (("[PAD]", "bright"), False)
    assert read_vocabulary("hf-hub:org/words", tmp_path) == (("[PAD]", "dark"), True)


@pytest.mark.parametrize("folder", [None, Path("absent")])
def test_missing_vocabulary_is_told_with_the_remedy(folder: Path | None) -> None:
    with pytest.raises(ModelError, match="hf-hub:emilyalsentzer/Bio_ClinicalBERT"):
        read_vocabulary(None, folder)
