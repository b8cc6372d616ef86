"""Counter-based seeding: the random numbers of a step from the seed and the step alone."""

from __future__ import annotations

import numpy as np
import torch


def generator_at(seed: int, *counters: int) -> torch.Generator:
    """A CPU generator that depends on ``seed`` and ``counters`` and on nothing drawn before.

    A source that draws the batch of step ``n`` from ``generator_at(seed, n)`` needs no state to
    resume: the batch of any step can be made again, in any order, in any process. Neighbouring
    counters give unrelated streams (they are mixed by NumPy's ``SeedSequence``).

    Raises:
        ValueError: a negative seed or counter.
    """
    if seed < 0 or any(counter < 0 for counter in counters):
        raise ValueError(f"seed and counters must not be negative: {(seed, *counters)}")
    # torch's CPU generator keeps the low 32 bits of a seed only, so 32 mixed bits are all of it.
    state = np.random.SeedSequence([seed, *counters]).generate_state(1, np.uint32)
    generator = torch.Generator(device="cpu")
    generator.manual_seed(int(state[0]))
    return generator
