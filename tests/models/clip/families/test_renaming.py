import pytest
import torch

from omnisyn.errors import ModelError
from omnisyn.models.clip.families.renaming import count, joined, renamed, size

ATTENTION = (".q.", ".k.", ".v.")


def test_rules_follow_each_other_and_may_leave_out() -> None:
    tensors = {"a.b.1": torch.ones(1), "gone": torch.ones(1), "stays": torch.ones(1)}
    rules = ((r"^gone$", ""), (r"^a\.", "c."), (r"^c\.b\.(\d)", r"d\1"))
    assert list(renamed(tensors, rules)) == ["d1", "stays"]


def test_projections_are_joined_in_the_order_of_the_names() -> None:
    tensors = {f"x{part}weight": torch.full((1, 2), float(n)) for n, part in enumerate(ATTENTION)}
    found = joined(dict(reversed(tensors.items())), ATTENTION, ".qkv_{}")
    assert found.keys() == {"x.qkv_weight"}
    assert found["x.qkv_weight"].tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def test_what_is_not_whole_stays() -> None:
    for other in ({}, {"x.v.bias": torch.ones(3)}):
        tensors = {"x.q.bias": torch.ones(2), "x.k.bias": torch.ones(2), **other}
        assert joined(tensors, ATTENTION, ".qkv_{}").keys() == tensors.keys()


def test_layers_are_counted_and_missing_tensors_told() -> None:
    tensors = {f"layers.{n}.weight": torch.ones(4, 5) for n in (0, 1, 11)}
    assert count(tensors, r"layers\.") == 3
    assert size(tensors, "layers.0.weight", 1, "file") == 5
    for name, why in (("layers.7.weight", "missing"), ("layers.0.weight", "of another shape")):
        with pytest.raises(ModelError, match=f"not whole .*{why}"):
            size(tensors, name, 2, "file")
