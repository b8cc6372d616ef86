import torch
from torch.nn import functional

from omnisyn.models.clip.model import ClipSettings, build_clip
from omnisyn.models.clip.numbers import number_waves
from omnisyn.models.clip.vocabulary import FIRST_MAGNITUDE, MAGNITUDES, number_of


def test_the_nearer_two_magnitudes_the_more_alike_their_waves() -> None:
    waves = functional.normalize(number_waves(192), dim=1)
    cosines = [(waves[:-apart] * waves[apart:]).sum(dim=1).mean().item() for apart in (1, 2, 4, 16)]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] > 0.8
    # None is taken for another.
    assert (waves @ waves.T).fill_diagonal_(0).max() < 0.99


def test_an_odd_width_has_waves_too() -> None:
    assert number_waves(7).shape == (MAGNITUDES, 7)


def test_training_changes_words_and_no_number() -> None:
    tower = build_clip(ClipSettings(embed_size=16), seed=0)
    embedding = tower.clip.token_embedding.weight
    before = embedding.detach().clone()
    optimizer = torch.optim.Adam(list(tower.text_tower()), lr=0.01)
    tower.encode_text(["T2 image of the head; TE 90 ms."])[0, 0].backward()
    optimizer.step()
    numbers = slice(FIRST_MAGNITUDE, FIRST_MAGNITUDE + MAGNITUDES)
    assert torch.equal(embedding[numbers], before[numbers])
    torch.testing.assert_close(embedding[numbers].detach(), number_waves(embedding.shape[1]))
    assert not torch.equal(embedding[number_of("head")], before[number_of("head")])
