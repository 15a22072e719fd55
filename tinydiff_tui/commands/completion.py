"""`tinydiff-tui completion`: what a shell completes, written once by shtab from the parser; nothing of ours runs at a key."""

import argparse
import dataclasses

from core.config import SampleConfig, TrainConfig
from core.names import DATASETS
from tinydiff_tui.commands.flags import folder, make_parser, path
from tinydiff_tui.commands.output import write


def run(options: argparse.Namespace) -> int:
    """Print the completion script of a shell."""
    import shtab

    parser = make_parser()
    names = {
        field.name: list(field.metadata["choices"])
        for config in (TrainConfig, SampleConfig)
        for field in dataclasses.fields(config)
        if field.metadata["choices"]
    }
    names["dataset"].append("folder:")
    names["download"] = [name for name, entry in DATASETS.items() if entry.download]
    for action in _actions(parser):
        if action.type in (path, folder):
            action.complete = shtab.FILE if action.type is path else shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in names:
            action.choices = names[action.dest]
    write(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of the parser and of its commands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += _actions(command)
    return found
