from omnisyn.models.clip.assembly import assemble
from omnisyn.models.clip.families.small import small_shape


def test_its_vectors_have_the_length_that_was_asked_for() -> None:
    assert assemble(small_shape(24)).encode_text(["fluid is bright"]).shape == (1, 24)
