"""One call from its sources to its outputs, as `synthesize` makes it, with a given model."""

from pathlib import Path

from omnisyn.inference.batch import check_request, run_batch
from omnisyn.inference.request import Output, Request
from omnisyn.inference.synthesizer import Synthesizer


def run(
    model: Synthesizer, sources: list[str | Path], *targets: str, **options: object
) -> list[Output]:
    """Check and run one call."""
    request = Request(targets=targets or ("T2",), **options)  # type: ignore[arg-type]
    return run_batch(check_request(sources, request), request, lambda: model)
