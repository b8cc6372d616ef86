"""The one table of commands, and the group that loads a command only when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from omnisyn.errors import UsageError


@dataclass(frozen=True)
class Verb:
    """A command: the module that holds its `app`, and its line in `omnisyn --help`."""

    module: str
    summary: str


VERBS: dict[str, Verb] = {
    "synthesize": Verb("omnisyn.cli.synthesize", "Make the missing contrasts of a scan."),
    "embed": Verb("omnisyn.cli.embed", "Write the encoder's features of scans."),
    "inspect": Verb("omnisyn.cli.inspect", "Say what a scan is, and what is wrong with it."),
    "evaluate": Verb("omnisyn.cli.evaluate", "Score synthesis on whole sites, beside controls."),
    "models": Verb("omnisyn.cli.models", "List, show, verify, pull and push weights."),
    "simulate": Verb("omnisyn.cli.simulate", "Write simulated patients, or one example."),
    "prepare": Verb("omnisyn.cli.prepare", "Make a site of a hospital's folders, registered."),
    "sites": Verb("omnisyn.cli.sites", "List the sites of a data root, show what one holds."),
    "fetch": Verb("omnisyn.cli.fetch", "Download the public NPC dataset as a site."),
    "pretrain": Verb("omnisyn.cli.pretrain", "Stage 1: train the contrast-invariant encoder."),
    "align": Verb("omnisyn.cli.align", "Stage 2: bring contrast texts and images together."),
    "finetune": Verb("omnisyn.cli.finetune", "Stage 3: train the target-conditioned decoder."),
    "compare": Verb("omnisyn.cli.compare", "Train networks on equal terms, in one table."),
    "doctor": Verb("omnisyn.cli.doctor", "Check versions, device, cache and weights."),
}


class VerbGroup(TyperGroup):
    """Lists the table without importing a command; imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the table's order."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command.

        Raises:
            UsageError: there is none of that name.
        """
        verb = VERBS.get(cmd_name)
        if verb is None:
            near = get_close_matches(cmd_name, VERBS, n=1)
            raise UsageError(
                f"there is no command '{cmd_name}'",
                remedy=f"did you mean '{near[0]}'?" if near else "omnisyn --help lists them",
            )
        command = get_command(import_module(verb.module).app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table as it stands in `omnisyn --help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])
