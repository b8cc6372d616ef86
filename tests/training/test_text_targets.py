import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.training.text_targets import (
    FAT_SUPPRESSED,
    SIMILAR,
    Geometry,
    fixed_targets,
    prompt_gram,
    vectors_with,
)


@pytest.mark.parametrize("contrasts", [("T1", "T2"), ("T1", "T1c", "T2"), NAMES])
@pytest.mark.parametrize(
    ("geometry", "cosine"),
    [
        ("similar", lambda k: SIMILAR),
        ("orthogonal", lambda k: 0),
        ("opposite", lambda k: -1 / (k - 1)),
    ],
)
def test_contrasts_have_the_geometry_that_is_asked_for(
    geometry, cosine, contrasts: tuple[str, ...]
) -> None:
    vectors = fixed_targets(geometry, contrasts, size=20, seed=0)
    products = vectors @ vectors.T
    assert torch.allclose(products.diagonal(), torch.ones(12), atol=1e-5)
    for row, one in enumerate(NAMES):
        for column, other in enumerate(NAMES[:row]):
            wanted = cosine(len(contrasts)) if {one, other} <= set(contrasts) else 0
            assert abs(float(products[row, column]) - wanted) < 1e-5


@pytest.mark.parametrize("geometry", ["similar", "orthogonal", "opposite"])
def test_fat_suppressed_prompts_lie_near_their_plain_one_and_nearer_than_any_other(
    geometry: Geometry,
) -> None:
    plain, suppressed = fixed_targets(geometry, NAMES, size=128, seed=3).chunk(2)
    across = suppressed @ plain.T
    assert torch.allclose(across.diagonal(), torch.full((6,), FAT_SUPPRESSED), atol=1e-5)
    assert across.argmax(dim=1).tolist() == list(range(6))
    away = suppressed - FAT_SUPPRESSED * plain
    own = away @ away.T
    assert torch.allclose(own, own.diagonal().diag(), atol=1e-5)


def test_opposite_contrasts_add_up_to_nothing() -> None:
    plain = fixed_targets("opposite", NAMES, size=16, seed=0)[:6]
    assert torch.allclose(plain.sum(dim=0), torch.zeros(16), atol=1e-5)


def test_vectors_follow_from_the_seed() -> None:
    first = fixed_targets("similar", NAMES, 32, seed=1)
    assert torch.equal(first, fixed_targets("similar", NAMES, 32, seed=1))
    assert not torch.allclose(first, fixed_targets("similar", NAMES, 32, seed=2))


def test_as_many_dimensions_as_the_rank_are_enough_and_fewer_are_refused() -> None:
    # A simplex of six corners lies in five dimensions; each fat-suppressed prompt takes one more.
    assert fixed_targets("opposite", NAMES, size=11, seed=0).shape == (12, 11)
    with pytest.raises(UsageError, match="take 12 dimensions, and condition_size is 11"):
        fixed_targets("orthogonal", NAMES, size=11, seed=0)


def test_vectors_have_whatever_gram_matrix() -> None:
    given = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gram = given @ given.T
    vectors = vectors_with(gram, 8, seed=0).double()
    assert torch.allclose(vectors @ vectors.T, gram, atol=1e-5)
    assert torch.linalg.matrix_rank(vectors, atol=1e-5) == 3


def test_gram_has_no_negative_direction() -> None:
    for geometry in ("similar", "orthogonal", "opposite"):
        assert torch.linalg.eigvalsh(prompt_gram(geometry, NAMES)).min() > -1e-12
