"""Which sign tells best where a synthesis is wrong: sparsification of every candidate.

The figure is the area between the candidate's curve and the oracle's, as a part of a constant's
(`omnisyn.evaluation.sparsification`): 0 is the oracle, 1 knows nothing. It is the mean over
patients and directions. With `--data` a folder of patients whose contrasts lie on one grid, else
the embedded simulation.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, permutations
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from benchmarks.patients import ScaledPatient, Slices, scaled_patients
from benchmarks.table import Row, print_table
from omnisyn.evaluation.sparsification import sparsify
from omnisyn.inference import uncertainty
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.models.generator import Generator
from omnisyn.studies.slices import evenly_thinned
from omnisyn.volumes.normalize import head_mask, head_slices

Candidate = Callable[[dict[str, Slices], str, Slices], Slices]

_PATIENTS, _SLICES = 4, 5
_GAMMAS, _ZOOMS, _SHIFTS = (0.8, 1.25), (0.93, 1.07), ((5, 0), (3, 7))
_DROPPED, _DRAWS = 0.1, 3


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks uncertainty", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of patients with known truth")
    print_table(
        "Signs of uncertainty, how they order the errors", rows(parser.parse_args(arguments).data)
    )


def rows(data: Path | None) -> list[Row]:
    """One row a candidate, for one source and for all the others as sources, best first."""
    synthesizer = Synthesizer.load(device="cpu")
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for patient in _patients(data):
        model = synthesizer.on_pixels(*patient.pixel_mm)
        candidates = _candidates(model)
        head = head_mask(list(patient.slices.values()))
        known = {name: each for name, each in patient.slices.items() if name in model.contrasts}
        directions = [((one,), other) for one, other in permutations(known, 2)]
        directions += [
            (tuple(name for name in known if name != target), target)
            for target in known
            if len(known) > 2
        ]
        for names, target in directions:
            sources = {name: known[name] for name in names}
            made = model.synthesize_slices(sources, [target])[target]
            errors = np.abs(made - known[target])[head]
            kind = "one source" if len(names) == 1 else "several sources"
            for name, sign in candidates.items():
                values = sign(sources, target, made)
                found[kind][name].append(sparsify(errors, values[head]).relative_area)
    return [
        Row(
            f"{kind}: {name}",
            float(np.mean(areas)),
            "of a constant's area",
            f"worst {max(areas):.2f}, better than the gradient in "
            f"{np.mean(np.array(areas) < np.array(by_name['gradient'])):.0%} of {len(areas)}",
        )
        for kind, by_name in found.items()
        for name, areas in sorted(by_name.items(), key=lambda item: float(np.mean(item[1])))
    ]


def _candidates(synthesizer: Synthesizer) -> dict[str, Candidate]:
    def make(sources: dict[str, Slices], target: str) -> Slices:
        return synthesizer.synthesize_slices(sources, [target])[target]

    def changed(forth: Callable[[Slices], Slices], back: Callable[[Slices], Slices]) -> Candidate:
        def sign(sources: dict[str, Slices], target: str, made: Slices) -> Slices:
            other = make({name: forth(slices) for name, slices in sources.items()}, target)
            return uncertainty.smoothed(np.abs(back(other) - made))

        return sign

    def mean_of(*signs: Candidate) -> Candidate:
        return lambda *about: np.mean([sign(*about) for sign in signs], axis=0)

    def by_name(function: Callable[..., dict[str, Slices]], *further: object) -> Candidate:
        return lambda sources, target, made: function(
            synthesizer.synthesize_slices, sources, {target: made}, *further
        )[target]

    def cycle(sources: dict[str, Slices], target: str, made: Slices) -> Slices:
        back = synthesizer.synthesize_slices({target: made}, list(sources))
        return uncertainty.smoothed(
            np.mean([np.abs(back[name] - slices) for name, slices in sources.items()], axis=0)
        )

    def same(slices: Slices) -> Slices:
        return slices

    return {
        "constant": lambda sources, target, made: np.zeros_like(made),
        "gradient": lambda sources, target, made: uncertainty.gradient(made),
        "output": lambda sources, target, made: uncertainty.smoothed(made),
        "mirrored": changed(_mirror, _mirror),
        "shifted": mean_of(
            *(
                changed(
                    lambda slices, by=by: np.roll(slices, by, (1, 2)),
                    lambda slices, by=by: np.roll(slices, (-by[0], -by[1]), (1, 2)),
                )
                for by in _SHIFTS
            )
        ),
        "zoomed": mean_of(
            *(
                changed(
                    lambda slices, by=by: _zoom(slices, by),
                    lambda slices, by=by: _zoom(slices, 1 / by),
                )
                for by in _ZOOMS
            )
        ),
        "brightened": mean_of(*(changed(lambda slices, by=by: slices**by, same) for by in _GAMMAS)),
        "turned": by_name(uncertainty.turned),
        "detour": by_name(uncertainty.detour, synthesizer.contrasts),
        "cycle": cycle,
        "dropout": lambda sources, target, made: _dropout(synthesizer, sources, target),
        "disagreement": by_name(uncertainty.disagreement),
        "as synthesize has it": by_name(uncertainty.signs, synthesizer.contrasts),
    }


def _mirror(slices: Slices) -> Slices:
    return np.ascontiguousarray(slices[:, :, ::-1])


def _zoom(slices: Slices, factor: float) -> Slices:
    images = torch.from_numpy(np.ascontiguousarray(slices))[:, None]
    turn = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]]).expand(len(slices), 2, 3)
    grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)[:, 0].numpy()


class _Dropping(torch.nn.Module):
    """A generator whose random channels are dropped between encoder and decoder."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator, self.draws = generator, torch.Generator().manual_seed(0)
        self.condition, self.decode = generator.condition, generator.decode

    def encode_sources(
        self, images: torch.Tensor, present: torch.Tensor, contrasts: torch.Tensor
    ) -> list[torch.Tensor]:
        """Maps, of whose channels a part is zero and the rest as much stronger."""
        return [
            maps
            * (torch.rand(*maps.shape[:2], 1, 1, generator=self.draws) >= _DROPPED)
            / (1 - _DROPPED)
            for maps in self.generator.encode_sources(images, present, contrasts)
        ]


def _dropout(synthesizer: Synthesizer, sources: dict[str, Slices], target: str) -> Slices:
    """Spread of outputs from features of which random channels are dropped."""
    dropping = replace(synthesizer, generator=_Dropping(synthesizer.generator))
    outputs = [dropping.synthesize_slices(sources, [target])[target] for _ in range(_DRAWS)]
    return uncertainty.smoothed(np.std(outputs, axis=0))


def _patients(data: Path | None) -> Iterator[ScaledPatient]:
    """A few slices of each patient around the head."""
    for patient in islice(scaled_patients(data), _PATIENTS):
        if len({slices.shape for slices in patient.slices.values()}) > 1:
            continue
        mask = head_mask(list(patient.slices.values()))
        chosen = evenly_thinned(head_slices(mask).tolist(), _SLICES)
        few = {name: slices[chosen] for name, slices in patient.slices.items()}
        yield replace(patient, slices=few)
