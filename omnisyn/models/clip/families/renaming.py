"""Tensors of one layout under the names of another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch

from omnisyn.errors import ModelError

Tensors = Mapping[str, torch.Tensor]


def renamed(tensors: Tensors, rules: Sequence[tuple[str, str]]) -> dict[str, torch.Tensor]:
    """Every tensor under the name that the rules give it, one after the other.

    A rule is a regular expression and what it becomes, as in `re.sub`; a name that becomes empty
    is left out, one that no rule knows stays.
    """
    found = {}
    for name, tensor in tensors.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        if name:
            found[name] = tensor
    return found


def joined(tensors: Tensors, names: Sequence[str], whole: str) -> dict[str, torch.Tensor]:
    """Queries, keys and values of attention as one tensor each of weights and biases.

    `names` are the endings of the three projections' names (`.self_attn.q_proj.`, …) in the order
    in which they are put together along the first axis; `whole` is the ending that follows instead,
    with `{}` for weight or bias. What has not all three, of one shape, stays as it is.
    """
    found = dict(tensors)
    for name in tensors:
        match = re.fullmatch(rf"(.*){re.escape(names[0])}(weight|bias)", name)
        if match is None:
            continue
        parts = [found.get(f"{match[1]}{ending}{match[2]}") for ending in names]
        whole_parts = [part for part in parts if part is not None]
        if len(whole_parts) == len(names) and len({part.shape for part in whole_parts}) == 1:
            for ending in names:
                del found[f"{match[1]}{ending}{match[2]}"]
            found[match[1] + whole.format(match[2])] = torch.cat(whole_parts)
    return found


def size(tensors: Tensors, name: str, axis: int, where: str) -> int:
    """Length of an axis of a tensor. Raises ModelError where there is no such tensor or axis."""
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim <= axis:
        raise ModelError(
            "the checkpoint is not whole",
            where=where,
            why=f"{name} is {'missing' if tensor is None else 'of another shape'}",
            remedy="copy or fetch it again",
        )
    return tensor.shape[axis]


def count(tensors: Tensors, pattern: str) -> int:
    """How many numbers follow the beginning `pattern`, a regular expression, in the names."""
    return len({match[0] for name in tensors if (match := re.match(pattern + r"\d+\.", name))})
