"""Which directions a batch is trained in: sets of sources to a target, drawn per slice."""

from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.training.recipe import FinetuneSettings


@dataclass(frozen=True)
class Directions:
    """Directions with equally many slots for sources.

    Attributes:
        sources: `[directions, slots]` integer, places of images (slice x contrasts + contrast).
        filled: `[directions, slots]` bool, which slots hold a source.
        targets: `[directions]` integer, places of images.
    """

    sources: Tensor
    filled: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Directions":
        """The same on another device."""
        return Directions(self.sources.to(device), self.filled.to(device), self.targets.to(device))


def draw_directions(
    present: Tensor, settings: FinetuneSettings, draws: torch.Generator
) -> tuple[Directions, Directions]:
    """Draw `settings.directions` directions for every slice with two contrasts or more.

    The targets of a slice go around its contrasts in random order, so that none comes twice
    before each has come once; so do the single sources of a target.

    Args:
        present: `[batch, contrasts]` bool, on the CPU.
        settings: number of directions, and share and size of sets with several sources.
        draws: a CPU generator.

    Returns:
        The directions with one source, and those with several.
    """
    single: list[tuple[list[int], int]] = []
    several: list[tuple[list[int], int]] = []
    contrasts = present.shape[1]
    for item, row in enumerate(present):
        here = row.nonzero().squeeze(1).tolist()
        if len(here) < 2:
            continue
        order = torch.randperm(len(here), generator=draws).tolist()
        for number in range(settings.directions):
            around, position = divmod(number, len(here))
            target = here[order[position]]
            # The contrasts after the target in the drawn order, beginning one further with every
            # time around: all ordered pairs come before any comes again.
            turn = 1 + around % (len(here) - 1)
            others = [here[order[(position + turn + k) % len(here)]] for k in range(len(here))]
            others = [other for other in others if other != target]
            most = min(settings.most_sources, len(others))
            wants_several = float(torch.rand((), generator=draws)) < settings.several_sources
            size = int(torch.randint(2, max(most, 2) + 1, (), generator=draws))
            places = [item * contrasts + other for other in others]
            if wants_several and most >= 2:
                several.append((places[:size], item * contrasts + target))
            else:
                single.append((places[:1], item * contrasts + target))
    return _stacked(single), _stacked(several)


def _stacked(directions: list[tuple[list[int], int]]) -> Directions:
    slots = max((len(sources) for sources, _ in directions), default=1)
    sources = torch.zeros(len(directions), slots, dtype=torch.long)
    filled = torch.zeros(len(directions), slots, dtype=torch.bool)
    for number, (places, _) in enumerate(directions):
        # An empty slot repeats the first source, so that it asks for no further encoding.
        sources[number] = places[0]
        sources[number, : len(places)] = torch.tensor(places)
        filled[number, : len(places)] = True
    targets = torch.tensor([target for _, target in directions], dtype=torch.long)
    return Directions(sources, filled, targets)
