"""Small volumes that the tests here make themselves."""

import numpy as np
import pytest


@pytest.fixture
def grey_voxels():
    """Positive noise of shape (6, 7, 5), float32, every value different."""
    return np.random.default_rng(5).permutation(210).reshape(6, 7, 5).astype(np.float32) + 1
