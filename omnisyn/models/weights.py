"""Sets of weights: saved, found by name, path or hub address, checked, and loaded."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

import omnisyn
from omnisyn.errors import ModelError, UsageError
from omnisyn.listeners import Progress, unwatched
from omnisyn.models.card import CardDescription, WeightCard, card_path, read_card
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.generator import Generator, build_generator
from omnisyn.models.hub.address import HubAddress, is_hub_address, parse_hub_address
from omnisyn.models.hub.fetch import fetch_from_hub
from omnisyn.models.tensor_file import (
    Precision,
    fill_module,
    parse_tensors,
    read_sealed,
    write_tensors,
)
from omnisyn.models.text_tower import load_text_tower, read_text_tower, save_text_tower
from omnisyn.paths import name_of
from omnisyn.volumes.atomic import write_json_atomic

DEFAULT_WEIGHTS = "small"


@dataclass(frozen=True)
class TrainedEncoder:
    """A generator of which nothing but the encoder need be trained.

    Attributes:
        generator: in evaluation mode.
        name: of the weights, or of the run that trained it.
        sha256: of the file that it was read from.
        trained_on: the data, in a sentence.
        pixel_mm: pixel size to which coarser slices are magnified; None = as they are.
    """

    generator: Generator
    name: str
    sha256: str
    trained_on: str
    pixel_mm: float | None


@dataclass(frozen=True)
class LoadedWeights:
    """A generator in evaluation mode, and what was loaded into it: card, its path, and hash."""

    generator: Generator
    card: WeightCard
    path: Path
    sha256: str

    def text_tower(self) -> TextImageModel:
        """What turns texts into this generator's conditions; read anew with every call.

        Raises ModelError for weights without one, or when it is missing, damaged or another's.
        """
        return load_text_tower(self.path.parent, self.card)

    @property
    def encoder(self) -> TrainedEncoder:
        """The same, for whoever needs the encoder alone."""
        card = self.card
        return TrainedEncoder(
            self.generator, card.name, self.sha256, card.trained_on, card.pixel_mm
        )


def save_weights(
    path: Path,
    generator: Generator,
    description: CardDescription,
    precision: Precision = "float16",
    text: TextImageModel | None = None,
) -> WeightCard:
    """Write `path` (NAME.safetensors) and its card NAME.json; the card last, atomically.

    Args:
        text: the model whose text tower goes beside (`models/text_tower.py`), so that the weights
            can be asked in words; in float16 whatever `precision` is.

    Raises:
        ModelError: a weight is not finite or does not fit into `precision`, `path` has another
            suffix, or the vectors of `text` have another length than the generator takes.
        ResourceError: the disk refuses.
    """
    if path.suffix != ".safetensors":
        raise ModelError(
            "weights are saved as .safetensors", where=path.name, remedy="end the name so"
        )
    taken = generator.settings.condition_size
    if text is not None and text.embed_size != taken:
        raise ModelError(
            "the text tower does not fit the generator",
            where=path.name,
            why=f"its vectors have {text.embed_size} values, the generator takes {taken}",
            remedy="save the generator with the tower that it was trained with",
        )
    seal = write_tensors(path, generator.state_dict(), precision)
    tower = None if text is None else save_text_tower(path, text)
    card = WeightCard(
        **description.model_dump(include=set(CardDescription.model_fields)),
        file=path.name,
        sha256=seal.sha256,
        size=seal.size,
        precision=precision,
        parameters=sum(parameter.numel() for parameter in generator.parameters()),
        model=generator.settings,
        prompts=generator.prompts,
        text=tower,
    )
    write_json_atomic(card_path(path), card.model_dump(mode="json"))
    return card


def load_weights(source: str | Path | None = None, cache: Path | None = None) -> LoadedWeights:
    """Load a generator (float32, on the CPU) from a name, a path or an address on the hub.

    The file's hash is compared with its card before anything in it is interpreted. `source` None
    means the shipped default; `cache` is the folder for downloads.

    Raises ModelError, with the difference, when the weights are missing, damaged, pickled, or do
    not fit the model their card names; UsageError for a malformed hub address.
    """
    path = find_weights(source, cache)
    card, content = read_weights(path)
    try:
        generator = build_generator(card.model)
    except (UsageError, ValueError) as error:
        raise ModelError(
            "the card describes a model that cannot be built",
            where=card.file,
            why=str(error),
            remedy="use the card that the weights were saved with",
        ) from error
    if card.prompts != generator.prompts:
        strange = sorted(set(card.prompts) ^ set(generator.prompts))
        raise ModelError(
            "the weights know other targets than this version of omnisyn",
            where=card.file,
            why=f"they differ in {', '.join(strange) or 'their order'}",
            remedy="use the version of omnisyn that the weights were made with",
        )
    fill_module(generator, parse_tensors(content, card.file), card.file)
    return LoadedWeights(generator.eval(), card, path, card.sha256)


def load_card(source: str | Path | None = None, cache: Path | None = None) -> WeightCard:
    """The card of a set of weights, whose file is not read. Raises as `find_weights`."""
    return read_card(find_weights(source, cache))


def verify_weights(source: str | Path | None = None, cache: Path | None = None) -> WeightCard:
    """Check all files of a set of weights, without building a model; gives the card.

    Raises ModelError, with the difference, when anything is wrong with a file, the card or the text
    tower.
    """
    path = find_weights(source, cache)
    card, content = read_weights(path)
    parse_tensors(content, card.file)
    tower = read_text_tower(path.parent, card)
    if tower is not None:
        parse_tensors(tower.content, card.tower_files[-1])
    return card


def find_weights(source: str | Path | None = None, cache: Path | None = None) -> Path:
    """The card's path of the weights that a name, a path or a hub address means.

    A path may be the safetensors file, its card, a folder that holds one set, or a training run.
    Raises ModelError when there is no such set or its card has another hash than the address pins,
    UsageError for an empty name; for an address also as `hub_client`.
    """
    text = DEFAULT_WEIGHTS if source is None else str(source)
    if not text:
        raise UsageError("the name of the weights is empty", remedy="give a name or a path")
    if is_hub_address(text):
        return fetch_weights(parse_hub_address(text), cache)
    shipped = _shipped_cards()
    if text in shipped:
        return shipped[text]
    path = Path(text)
    # Unlike those of Path, these take any name, however long.
    if os.path.isdir(path):
        return _card_in(path, name_of(path))
    if os.path.isfile(path) and path.suffix in (".safetensors", ".json"):
        return card_path(path)
    if os.path.isfile(path):
        raise ModelError(
            "this is no safetensors file",
            where=path.name,
            why="pickled files may run any code when they are opened",
            remedy="give weights as NAME.safetensors with NAME.json beside",
        )
    near = difflib.get_close_matches(text, shipped, n=1, cutoff=0.4)
    known = f"shipped are {', '.join(shipped)}" if shipped else "this installation ships none"
    raise ModelError(
        f"there are no weights {path.name!r}",
        why=known,
        remedy=f"did you mean {near[0]!r}?" if near else "give a name, a path or hf-hub:org/name",
    )


def fetch_weights(
    address: HubAddress,
    cache: Path | None = None,
    *,
    again: bool = False,
    progress: Progress = unwatched,
) -> Path:
    """The card's path of the weights at an address, which are fetched unless they are in the cache.

    The card comes first, so that nothing large is fetched that is no set of weights or not the
    pinned one; the text tower comes along, where there is one. No tensor is read.

    Raises ModelError when the repository holds no set or several, or the card has another hash than
    the address pins; else as `fetch_from_hub`, which says what `again` does.
    """
    folder = fetch_from_hub(address, ["*.json"], cache, again=again)
    found = [(path, card) for path in sorted(folder.glob("*.json")) if (card := _try_card(path))]
    if len(found) != 1:
        raise ModelError(
            f"the repository holds {'several sets of weights' if found else 'no weights'}",
            where=address,
            why=", ".join(path.stem for path, _ in found) or "no JSON file in it is a card",
            remedy="choose another address",
        )
    path, card = found[0]
    if address.sha256 not in (None, card.sha256):
        raise ModelError(
            "these are not the pinned weights",
            where=card.file,
            why=f"their SHA-256 is {card.sha256[:12]}…, pinned is {address.sha256[:12]}…",
            remedy="ask whoever gave you the hash; do not use them until that is clear",
        )
    # A branch may move in between; the folder is named by the commit that it was.
    commit = replace(address, revision=folder.name)
    files = [escape(name) for name in (card.file, *card.tower_files)]
    fetch_from_hub(commit, files, cache, again=again, progress=progress)
    return path


def read_weights(path: Path) -> tuple[WeightCard, bytes]:
    """The card at `path` and the bytes of its weights, whose hash is the card's.

    Raises ModelError as `read_card` and `read_sealed`.
    """
    card = read_card(path)
    return card, read_sealed(path.with_name(card.file), card.seal)


def list_weights() -> tuple[WeightCard, ...]:
    """Cards of the shipped sets, by name. Raises ModelError for a damaged card."""
    return tuple(read_card(path) for _, path in sorted(_shipped_cards().items()))


def weights_folder() -> Path | None:
    """Where the shipped sets lie: inside an installed wheel, else `weights/` of the repository."""
    package = Path(omnisyn.__file__).parent
    if (package / "weights").is_dir():
        return package / "weights"
    if (package.parent / "weights").is_dir() and (package.parent / "pyproject.toml").is_file():
        return package.parent / "weights"
    return None


def _shipped_cards() -> dict[str, Path]:
    folder = weights_folder()
    return {} if folder is None else {path.stem: path for path in _cards_in(folder)}


def _cards_in(folder: Path) -> list[Path]:
    # Other JSON files may lie there too; a card is one that has weights of its name beside it.
    return sorted(
        card_path(path) for path in folder.glob("*.safetensors") if card_path(path).is_file()
    )


def _card_in(folder: Path, where: str) -> Path:
    # A training run keeps its result in `final`.
    cards = _cards_in(folder) or _cards_in(folder / "final")
    if len(cards) == 1:
        return cards[0]
    raise ModelError(
        "the folder holds no weights" if not cards else "the folder holds several sets of weights",
        where=where,
        why=", ".join(card.stem for card in cards) or None,
        remedy="give the path of a safetensors file that has its card beside it",
    )


def _try_card(path: Path) -> WeightCard | None:
    try:
        return read_card(path)
    except ModelError:
        return None
