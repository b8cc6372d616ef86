"""Damaged files at the four readers: nothing but an OmnisynError may come out.

python -m tests.fuzz.targets [--minutes N] [TARGET …]      TARGET: nifti, dicom, weights, recipe

Every target takes the bytes of a file and either accepts or refuses them. Seeds are small whole
files made here; a case is a seed with a few mutations: flipped bits, cut and doubled pieces, fields
set to extremes. NIfTI is mutated inside its gzip stream as well, so that the checksum is right and
the header is what is wrong. The randomness is seeded: a case is told by target, seed and number.
"""

import argparse
import gzip
import io
import json
import resource
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data

from omnisyn.errors import OmnisynError
from omnisyn.geometry import Geometry
from omnisyn.models.weights import load_weights
from omnisyn.training.recipe import load_recipe, recipe_names
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.write import write_volume
from tests.tiny_weights import save_tiny

EXTREMES = (
    *(b"\0" * 2, b"\0" * 4, b"\xff" * 2, b"\xff" * 4, b"\xff\x7f", b"\xff\xff\xff\x7f"),
    *(b"\0\0\x80\x7f", b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\1\0", b"\0\x80", b"-1"),
    *(b"1e999", b"NaN"),
    *(b'"', b"\\", b"[", b"]", b"\n", b"\0\0\0\0\0\0\xf0\x7f", b"9" * 30),
)  # fmt: skip
MEMORY_BYTES = 8 * 2**30


class Nifti:
    """A .nii.gz file."""

    name = "scan_T1.nii.gz"

    def seeds(self, folder: Path) -> list[bytes]:
        voxels = np.random.default_rng(0).uniform(1, 90, (8, 7, 6)).astype(np.float32)
        path = write_volume(folder / "a.nii.gz", voxels, Geometry(voxels.shape, np.eye(4)))
        packed = path.read_bytes()
        return [packed, gzip.decompress(packed)]

    def mutate(self, seed: bytes, draw: np.random.Generator) -> bytes:
        inside = draw.random() < 0.5 and seed[:2] != b"\x1f\x8b"
        changed = mutated(seed, draw, 352 if draw.random() < 0.7 else None)
        return gzip.compress(changed, 1) if inside else changed

    def read(self, path: Path) -> None:
        volume = read_volume(path)
        assert volume.voxels.shape == volume.geometry.shape
        assert np.isfinite(volume.voxels).all()


class Dicom(Nifti):
    """One DICOM image: classic, compressed, and an Enhanced file of two frames."""

    name = "image.dcm"

    def seeds(self, folder: Path) -> list[bytes]:
        files = ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm")
        plain = [Path(str(pydicom.data.get_testdata_file(name))).read_bytes() for name in files]
        return [*plain, enhanced()]

    def mutate(self, seed: bytes, draw: np.random.Generator) -> bytes:
        return mutated(seed, draw, 2500 if draw.random() < 0.7 else None)


class Weights:
    """A safetensors file beside a card that has its hash, so that the content is looked at."""

    name = "tiny.safetensors"

    def seeds(self, folder: Path) -> list[bytes]:
        path = save_tiny(folder / self.name)
        self.card = json.loads(path.with_suffix(".json").read_text())
        return [path.read_bytes()]

    def mutate(self, seed: bytes, draw: np.random.Generator) -> bytes:
        return mutated(seed, draw, 4000 if draw.random() < 0.8 else None)

    def read(self, path: Path) -> None:
        import hashlib

        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        card = {**self.card, "sha256": digest}
        path.with_suffix(".json").write_text(json.dumps(card))
        load_weights(path)


class Recipe:
    """A training recipe in TOML."""

    name = "recipe.toml"

    def seeds(self, folder: Path) -> list[bytes]:
        from importlib import resources

        shipped = resources.files("omnisyn.training") / "recipes"
        return [(shipped / f"{name}.toml").read_bytes() for name in recipe_names()]

    def mutate(self, seed: bytes, draw: np.random.Generator) -> bytes:
        return mutated(seed, draw, None)

    def read(self, path: Path) -> None:
        load_recipe(path)


TARGETS: dict[str, Callable[[], Nifti | Weights | Recipe]] = {
    "nifti": Nifti,
    "dicom": Dicom,
    "weights": Weights,
    "recipe": Recipe,
}


def enhanced() -> bytes:
    """An Enhanced MR file of two frames, 8 × 6 pixels."""
    image = pydicom.dcmread(str(pydicom.data.get_testdata_file("MR_small.dcm")))
    place, turn, size = (pydicom.Dataset() for _ in range(3))
    turn.ImageOrientationPatient = image.ImageOrientationPatient
    size.PixelSpacing, size.SliceThickness = image.PixelSpacing, image.SliceThickness
    shared = pydicom.Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [size]
    frames = []
    for number in range(2):
        place = pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 5 * number]
        group = pydicom.Dataset()
        group.PlanePositionSequence = [place]
        frames.append(group)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, keyword)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = frames
    image.NumberOfFrames, image.Rows, image.Columns = 2, 8, 6
    image.PixelData = np.arange(96, dtype="<i2").tobytes()
    buffer = io.BytesIO()
    image.save_as(buffer)
    return buffer.getvalue()


def mutated(seed: bytes, draw: np.random.Generator, within: int | None) -> bytes:
    """One to four changes, at the beginning of the file or anywhere."""
    content = bytearray(seed)
    for _ in range(int(draw.integers(1, 5))):
        if not content:
            break
        place = int(draw.integers(0, min(within or len(content), len(content))))
        way = int(draw.integers(0, 6))
        if way == 0:
            content[place] ^= 1 << int(draw.integers(0, 8))
        elif way == 1:
            content[place] = int(draw.integers(0, 256))
        elif way in (2, 3):
            piece = EXTREMES[int(draw.integers(0, len(EXTREMES)))]
            content[place : place + len(piece)] = piece
        elif way == 4:
            del content[place : place + int(draw.integers(1, 64))]
        else:
            piece = content[place : place + int(draw.integers(1, 64))]
            content[place:place] = piece
    if draw.random() < 0.1:
        del content[int(draw.integers(0, len(content) + 1)) :]
    return bytes(content)


def fuzz(
    name: str, folder: Path, cases: int | None, seed: int, seconds: float = 1e9
) -> Counter[str]:
    """Try cases until so many or so long; how many were accepted and refused.

    Raises:
        AssertionError: something else than an OmnisynError came out; the file is left in `folder`.
    """
    target = TARGETS[name]()
    seeds = target.seeds(folder)
    counts: Counter[str] = Counter()
    end, number = time.monotonic() + seconds, 0
    path = folder / target.name
    while (cases is None or number < cases) and time.monotonic() < end:
        draw = np.random.default_rng([seed, number])
        content = target.mutate(seeds[number % len(seeds)], draw)
        number += 1
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.read(path)
            counts["accepted"] += 1
        except OmnisynError as fault:
            counts["refused" if "\n" not in str(fault) else "refused in several lines"] += 1
        except Exception as fault:
            found = folder / f"finding-{name}-{seed}-{number}"
            found.write_bytes(content)
            raise AssertionError(f"{found.name}: {type(fault).__name__}: {fault}") from fault
    return counts


def main() -> None:
    """The long run by hand, under a limit of memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []])
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    folder = Path(tempfile.mkdtemp(prefix="omnisyn-fuzz-"))
    for name in chosen.target or TARGETS:
        counts = fuzz(name, folder, None, chosen.seed, 60 * chosen.minutes)
        print(
            f"{name} (seed {chosen.seed}): {sum(counts.values())} cases, {dict(counts)}", flush=True
        )


if __name__ == "__main__":
    main()
