import torch

from omnisyn.contrasts import NAMES
from omnisyn.studies.chosen_contrasts import ChosenContrasts
from omnisyn.studies.slices import SliceBatch, SliceSource, unknown_acquisition


class Everything:
    name, simulated, credits = "everything", True, ("somebody",)
    closed = False

    def batch(self, step: int) -> SliceBatch:
        present = torch.ones(2, len(NAMES), dtype=torch.bool)
        present[0, 2] = False
        images = torch.full((2, len(NAMES), 4, 4), 0.5)
        return SliceBatch(
            images, present, ~present, ("a/1", "a/2"), torch.ones(2), unknown_acquisition(2)
        )

    def validation(self) -> list[SliceBatch]:
        return [self.batch(0)]

    def close(self) -> None:
        self.closed = True


def test_other_contrasts_are_neither_present_nor_shown() -> None:
    source = ChosenContrasts(Everything(), ("T1", "T2"))
    assert isinstance(source, SliceSource)
    for batch in (source.batch(0), *source.validation()):
        assert batch.present.tolist() == [
            [True, False, False, False, False, False],
            [True, False, True, False, False, False],
        ]
        assert torch.equal(batch.images.amax(dim=(2, 3)) > 0, batch.present)


def test_it_says_what_it_is_made_of_and_closes_it() -> None:
    whole = Everything()
    source = ChosenContrasts(whole, ("T1", "T2"))
    assert source.name == "everything, of them T1, T2"
    assert (source.simulated, source.credits) == (True, ("somebody",))
    source.close()
    assert whole.closed
