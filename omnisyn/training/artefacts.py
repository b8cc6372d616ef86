"""What the stages hand on in `final/`: the encoder, the text-image model with its target vectors,
the whole generator. Every file is sealed by its SHA-256 in a JSON file beside it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from omnisyn.contrasts import CONTRASTS, Contrast
from omnisyn.errors import ModelError, UsageError, reason_of
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.card import CardDescription, name_for_card
from omnisyn.models.clip.model import TextImageModel
from omnisyn.models.clip.store import load_clip, save_clip
from omnisyn.models.generator import PROMPTS, Generator, build_generator
from omnisyn.models.tensor_file import FileSeal, fill_module, write_tensors
from omnisyn.models.weights import LoadedWeights, TrainedEncoder, load_weights, save_weights
from omnisyn.paths import name_of, read_json
from omnisyn.training.checkpoints import place_of, read_tensors
from omnisyn.volumes.atomic import write_json_atomic

_CLIP_NAME = "text-image"


@dataclass(frozen=True)
class RunCard:
    """What is said about a product, of whichever stage.

    Attributes:
        stage, recipe, seed: of the run.
        trained_on: the data.
        simulated: whether any of it is simulated.
        credits: whom to thank for it.
        steps, best_step: of the run, and of the exported weights.
        seconds: training time.
        validation: the figures of the exported weights.
        before: the runs or weights it started from, with the cards of their products.
    """

    stage: str
    recipe: str
    seed: int
    trained_on: str
    simulated: bool
    steps: int
    best_step: int
    seconds: float
    validation: Mapping[str, float | None]
    before: Mapping[str, Any]
    credits: tuple[str, ...] = ()


def prompt_sentences(
    describe: Callable[[Contrast, bool], str] = Contrast.describe,
) -> tuple[str, ...]:
    """The sentences of the twelve prompts, in the order of a generator's target vectors: the six
    contrasts, then the six with fat suppression. `describe` gives them in other words."""
    return tuple(describe(each, suppressed) for suppressed in (False, True) for each in CONTRASTS)


def write_encoder(folder: Path, generator: Generator, card: RunCard) -> None:
    """Write the encoder of `generator` into `folder`."""
    _write(
        folder,
        "encoder",
        generator.encoder.state_dict(),
        {"card": asdict(card), "model": generator.settings.model_dump(mode="json")},
    )


def read_encoder(folder: Path, generator: Generator) -> dict[str, Any]:
    """Load the encoder in `folder` into `generator`; returns the card of its run.

    Raises:
        ModelError: it is missing, damaged, or belongs to another network.
    """
    tensors, record = _read(folder, "encoder")
    wanted = generator.settings.model_dump(mode="json")
    for key in ("backbone", "width", "arrangement"):
        # An encoder from before there were arrangements serves all contrasts.
        if record["model"].get(key, ModelSettings.model_fields[key].default) != wanted[key]:
            raise ModelError(
                "the pretrained encoder belongs to another network",
                where=place_of(folder),
                why=f"its {key} is {record['model'].get(key)}, the recipe asks for {wanted[key]}",
                remedy="run pretrain with the same recipe",
            )
    fill_module(generator.encoder, tensors, place_of(folder))
    return dict(record["card"])


def load_encoder(folder: Path) -> TrainedEncoder:
    """The encoder in `folder`, called like the run that the folder lies in.

    Raises:
        ModelError: it is missing or damaged.
    """
    tensors, record = _read(folder, "encoder")
    try:
        generator = build_generator(ModelSettings(**record["model"])).eval()
    except (UsageError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "the encoder's record describes a network that cannot be built",
            where=f"{place_of(folder)}/encoder.json",
            why=reason_of(error),
            remedy="run pretrain again",
        ) from error
    fill_module(generator.encoder, tensors, place_of(folder))
    return TrainedEncoder(
        generator,
        name=name_of(folder.parent),
        sha256=record["seal"]["sha256"],
        trained_on=record["card"]["trained_on"],
        pixel_mm=None,
    )


def write_text_image(
    folder: Path,
    model: TextImageModel,
    vectors: Tensor,
    card: RunCard,
    confusion: str,
) -> None:
    """Write the text-image model and the target vectors `[12, d]` into `folder`."""
    save_clip(folder, _CLIP_NAME, model)
    _write(
        folder,
        "targets",
        {"target_vectors": vectors},
        {
            "card": asdict(card),
            "prompts": dict(zip(PROMPTS, prompt_sentences(), strict=True)),
            "confusion": confusion.splitlines(),
        },
    )


def read_text_image(folder: Path) -> TextImageModel:
    """The text-image model in `folder`.

    Raises:
        ModelError: it is missing or damaged.
    """
    return load_clip(folder, _CLIP_NAME)


def read_target_vectors(folder: Path, generator: Generator) -> dict[str, Any]:
    """Give `generator` the target vectors in `folder`; returns the card of their run.

    Raises:
        ModelError: they are missing, damaged, or of another length than the generator takes.
    """
    tensors, record = _read(folder, "targets")
    vectors, wanted = tensors["target_vectors"], generator.target_vectors
    if vectors.shape != wanted.shape:
        raise ModelError(
            "the align run does not fit the generator",
            where=place_of(folder),
            why=f"its target vectors are {list(vectors.shape)}, not {list(wanted.shape)}",
            remedy="run align with the same recipe",
        )
    generator.set_target_vectors(vectors)
    return dict(record["card"])


def read_weights(source: str, wanted: ModelSettings) -> LoadedWeights:
    """A whole generator to go on from, by name or path.

    Raises:
        ModelError: it is missing, damaged, or another network than `wanted`.
    """
    loaded = load_weights(source)
    if loaded.generator.settings != wanted:
        raise ModelError(
            "the weights belong to another network",
            where=Path(source).name,
            why=f"they are for {loaded.generator.settings}, the recipe asks for {wanted}",
            remedy="use the recipe that they were trained with",
        )
    return loaded


def write_generator(
    folder: Path,
    generator: Generator,
    card: RunCard,
    pixel_mm: float | None = None,
    text: TextImageModel | None = None,
    described: bool = False,
) -> None:
    """Write the whole generator into `folder`, in float32, as `models/weights.py` reads it.

    It is called like the run that the folder lies in. Its card tells every stage; of a stage begun
    from a product of its own kind, that one too.
    `pixel_mm` is the size of the pixels that synthesis magnifies to, `text` has the text tower that
    the target vectors are from, and `described` says whether it was trained to heed acquisitions.
    """
    stages = {name: each for name, each in card.before.items() if isinstance(each, dict)}
    own: dict[str, Any] = {
        "steps": card.steps,
        "exported_step": card.best_step,
        "seed": card.seed,
        "seconds": round(card.seconds),
    }
    if card.stage in stages:
        own["continues"] = stages[card.stage]
    description = CardDescription(
        name=name_for_card(name_of(folder.parent)),
        recipe=card.recipe,
        trained_on=card.trained_on,
        simulated=card.simulated,
        contrasts=generator.settings.contrasts,
        credits=card.credits,
        pixel_mm=pixel_mm,
        described=described,
        stages={**stages, card.stage: own},
        figures={"validation patients, quick figures in the head": dict(card.validation)},
        created=datetime.now(UTC).date().isoformat(),
    )
    path = folder / "model.safetensors"
    save_weights(path, generator, description, precision="float32", text=text)


def _write(
    folder: Path, name: str, tensors: Mapping[str, Tensor], record: Mapping[str, object]
) -> None:
    seal = write_tensors(folder / f"{name}.safetensors", tensors, "float32")
    write_json_atomic(folder / f"{name}.json", {**record, "seal": seal._asdict()})


def _read(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    file = folder / f"{name}.safetensors"
    try:
        record = read_json(folder / f"{name}.json")
        seal = FileSeal(**record["seal"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "the run's product cannot be read",
            where=f"{place_of(folder)}/{name}.json",
            why="the file is missing or damaged",
            remedy="run the stage again",
        ) from error
    return read_tensors(file, seal), record
