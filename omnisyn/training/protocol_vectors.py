"""How a target's text vector moves with its acquisition: a small map that the images teach.

What times do to an image shows too faintly to teach a text tower to read. A map of the numbers
themselves learns it in a fraction of the steps; the text tower then learns to say what the map
says, from texts alone (`asking.py`).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnisyn.volumes.sidecar import FACTS

_HIDDEN = 256
# Radians for a factor of e. The shortest wave, a factor of 4.8, passes smoothly over the bands
# that training never draws.
_FREQUENCIES = (0.5, 1.0, 2.0, 4.0)


class ProtocolVectors(nn.Module):
    """Prompts and numbers of acquisitions to unit vectors.

    The map adds to the vector of the prompt what the numbers change, and nothing where none is
    known: so it begins, and without numbers stays, at what the decoder has learned.

    Args:
        prompts: unit vectors of the twelve prompts, `[12, d]`.
        seed: of the map's weights.
    """

    prompts: Tensor

    def __init__(self, prompts: Tensor, seed: int) -> None:
        super().__init__()
        self.register_buffer("prompts", prompts.detach().clone())
        count, size = prompts.shape
        seen = count + len(FACTS) * (1 + 2 * len(_FREQUENCIES))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = nn.Linear(_HIDDEN, size, bias=False)
            self.change = nn.Sequential(
                nn.Linear(seen, _HIDDEN),
                nn.SiLU(),
                nn.Linear(_HIDDEN, _HIDDEN),
                nn.SiLU(),
                last,
            )
        nn.init.zeros_(last.weight)

    def forward(self, prompts: Tensor, facts: Tensor) -> Tensor:
        """Vectors `[n, d]` of prompts `[n]`, by their place in `PROMPTS`, acquired with
        `facts` `[n, 4]`: TR, TE, TI in ms and the field in T, NaN where unknown."""
        told, untold = self._seen(prompts, facts), self._seen(prompts, facts * math.nan)
        moved = self.prompts[prompts] + self.change(told) - self.change(untold)
        return functional.normalize(moved, dim=1)

    def _seen(self, prompts: Tensor, facts: Tensor) -> Tensor:
        known = ~facts.isnan()
        frequencies = torch.tensor(_FREQUENCIES, device=facts.device)
        phases = facts.nan_to_num(1.0).log()[..., None] * frequencies
        waves = torch.cat([torch.ones_like(phases[..., :1]), phases.sin(), phases.cos()], dim=2)
        kinds = functional.one_hot(prompts, len(self.prompts))
        return torch.cat([kinds, (waves * known[..., None]).flatten(1)], dim=1)
