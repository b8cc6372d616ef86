import pytest
import torch
from pydantic import ValidationError

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.models.arrangement import PerContrast
from omnisyn.models.backbone import ModelSettings, backbone_names
from omnisyn.models.generator import Generator, build_generator
from tests.models.narrow import narrow_settings

THREE = ("T1", "T1c", "T2")


def arranged(arrangement: str, backbone: str = "small") -> Generator:
    settings = narrow_settings(backbone).model_copy(
        update={"contrasts": THREE, "arrangement": arrangement}
    )
    model = build_generator(settings, seed=1).eval()
    with torch.no_grad():
        draws = torch.Generator().manual_seed(5)
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=draws)
    return model


def places(*names: str) -> torch.Tensor:
    return torch.tensor([NAMES.index(name) for name in names])


def slices(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


def counted(model: Generator) -> dict[str, int]:
    halves = {"encoders": model.encoder, "decoders": model.decoder}
    return {
        name: len(half.networks) if isinstance(half, PerContrast) else 1
        for name, half in halves.items()
    }


@pytest.mark.parametrize(
    ("arrangement", "encoders", "decoders"), [("1E1D-Cond", 1, 1), ("1E3D", 1, 3), ("3E3D", 3, 3)]
)
def test_an_arrangement_has_as_many_halves_as_its_name_says(
    arrangement: str, encoders: int, decoders: int
) -> None:
    assert counted(arranged(arrangement)) == {"encoders": encoders, "decoders": decoders}


def test_six_contrasts_may_have_a_network_each() -> None:
    settings = narrow_settings("small").model_copy(update={"arrangement": "6E6D"})
    assert counted(build_generator(settings)) == {"encoders": 6, "decoders": 6}


@pytest.mark.parametrize("arrangement", ["3E3D", "1E2D", "nonsense", ""])
def test_an_arrangement_that_does_not_count_the_contrasts_is_refused(arrangement: str) -> None:
    with pytest.raises(ValidationError, match="no arrangement"):
        ModelSettings(arrangement=arrangement)


@pytest.mark.parametrize(
    ("contrasts", "fault"), [(("T1", "CT"), "no contrast"), (("T1", "T1"), "two contrasts")]
)
def test_contrasts_are_checked(contrasts: tuple[str, ...], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ModelSettings(contrasts=contrasts)


def test_contrasts_stand_in_canonical_order() -> None:
    assert ModelSettings(contrasts=("T2", "T1")).contrasts == ("T1", "T2")


@pytest.mark.parametrize("backbone", backbone_names())
def test_each_item_goes_through_the_networks_of_its_contrasts(backbone: str) -> None:
    model = arranged("3E3D", backbone)
    images, shown = slices(3, 1, 40, 33), places("T2", "T1", "T2")
    wanted = ["T1", "T2", "T1c"]
    with torch.no_grad():
        together = model.decode(model.encode(images, shown), model.condition(wanted))
        for item, (source, target) in enumerate(zip(["T2", "T1", "T2"], wanted, strict=True)):
            alone = build_generator(
                model.settings.model_copy(update={"arrangement": "1E1D-Cond"})
            ).eval()
            alone.encoder.load_state_dict(model.encoder.networks[source].state_dict())
            alone.decoder.load_state_dict(model.decoder.networks[target].state_dict())
            image = alone.decode(alone.encode(images[[item]]), model.target_vectors[places(target)])
            torch.testing.assert_close(together[[item]], image, rtol=1e-4, atol=1e-5)


def test_every_weight_of_what_is_used_receives_a_gradient() -> None:
    model = arranged("3E3D").train()
    sources, present = slices(3, 3, 64, 64), torch.ones(3, 3, dtype=torch.bool)
    image = model(sources, present, model.condition(list(THREE)), places(*THREE))
    (image - 0.5).square().mean().backward()
    assert [key for key, weight in model.named_parameters() if weight.grad is None] == []


def test_several_encoders_must_hear_what_they_see() -> None:
    with pytest.raises(ValueError, match="what the images show"):
        arranged("3E3D").encode(slices(1, 1, 32, 32))


def test_a_contrast_without_a_network_is_refused() -> None:
    with pytest.raises(UsageError, match="no part for FLAIR"):
        arranged("3E3D").encode(slices(1, 1, 32, 32), places("FLAIR"))


def test_a_vector_of_no_contrast_goes_to_the_nearest_decoder() -> None:
    model = arranged("1E3D")
    near = torch.nn.functional.normalize(
        model.target_vectors[places("T1c")] + 0.3 * model.target_vectors[places("PD")], dim=1
    )
    with torch.no_grad():
        features = model.encode(slices(1, 1, 32, 32))
        own = model.decoder.networks["T1c"](features, near)
        torch.testing.assert_close(model.decode(features, near), own)
