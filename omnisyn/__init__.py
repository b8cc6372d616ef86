"""omnisyn: any subset of MRI contrasts in, any contrast out, one model. For research use only.

Every command of the tool is a function of the same name in :mod:`omnisyn.api`, reachable from here
(``omnisyn.synthesize(...)``). They are looked up when first used, so that ``import omnisyn`` stays
light. Only ``simulate`` has to be taken from there, because a folder of the house has its name.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnisyn.api import (
        align,
        compare,
        convert_model,
        doctor,
        embed,
        evaluate,
        fetch,
        finetune,
        inspect,
        list_backbones,
        list_models,
        list_sites,
        plan_preparation,
        prepare,
        pretrain,
        pull_model,
        push_model,
        read_embedding,
        show_model,
        show_site,
        synthesize,
        verify_models,
    )

    __version__: str

__all__ = [
    "__version__",
    "align",
    "compare",
    "convert_model",
    "doctor",
    "embed",
    "evaluate",
    "fetch",
    "finetune",
    "inspect",
    "list_backbones",
    "list_models",
    "list_sites",
    "plan_preparation",
    "prepare",
    "pretrain",
    "pull_model",
    "push_model",
    "read_embedding",
    "show_model",
    "show_site",
    "synthesize",
    "verify_models",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'omnisyn' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        return version("omnisyn")
    from omnisyn import api

    return getattr(api, name)
