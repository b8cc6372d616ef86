import pytest
import torch

from omnisyn.models.backbone import backbone_names
from omnisyn.models.generator import build_generator
from omnisyn.training.freezing import freeze_encoder
from tests.models.narrow import narrow_settings


@pytest.mark.parametrize("name", backbone_names())
def test_what_stays_free_makes_the_coarser_maps_only(name: str) -> None:
    generator = build_generator(narrow_settings(name), seed=1)
    freeze_encoder(generator, "partly")
    free = [weight for weight in generator.encoder.parameters() if weight.requires_grad]
    assert 0 < len(free) < len([*generator.encoder.parameters()])
    assert all(weight.requires_grad for weight in generator.decoder.parameters())
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    generator.eval()
    with torch.no_grad():
        before = generator.encode(image)
        for weight in free:
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(4))
        after = generator.encode(image)
    half = len(before) // 2
    assert all(torch.equal(*maps) for maps in zip(before[:half], after[:half], strict=True))
    assert not torch.equal(before[-1], after[-1])


def test_looking_for_the_half_leaves_statistics_alone() -> None:
    generator = build_generator(narrow_settings("resvit"), seed=1).train()
    before = {name: buffer.clone() for name, buffer in generator.encoder.named_buffers()}
    freeze_encoder(generator, "partly")
    assert generator.encoder.training
    assert all(
        torch.equal(before[name], buffer) for name, buffer in generator.encoder.named_buffers()
    )


@pytest.mark.parametrize(("freedom", "trained"), [("frozen", False), ("free", True)])
def test_all_or_nothing(freedom: str, trained: bool) -> None:
    generator = build_generator(narrow_settings("small"), seed=1)
    freeze_encoder(generator, freedom)  # type: ignore[arg-type]
    assert {weight.requires_grad for weight in generator.encoder.parameters()} == {trained}
    assert all(weight.requires_grad for weight in generator.fusion.parameters())
