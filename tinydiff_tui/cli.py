"""The command line: parsing, and the one place where errors become a sentence. Imports neither torch nor Textual."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from core.compute.distributed import is_first
from core.config import COMPUTE_FIELDS, REQUESTS, SampleConfig, TrainConfig
from core.errors import OUT_OF_MEMORY, UserError, out_of_memory
from tinydiff_tui.commands.output import complain, open_output, quiet_libraries

_LONGEST_COMPLAINT = 300  # characters of a message that repeats what was typed
_MOST_DIGITS = 20

EPILOG = """without a command: open the app

  tinydiff-tui visualize --dataset glyphs
  tinydiff-tui train --dataset glyphs --epochs 2
  tinydiff-tui sample --checkpoint outputs/model_final.pt
"""


class Parser(argparse.ArgumentParser):
    """One sentence on an error instead of a usage dump, and no flag that was only begun; --batch_size is --batch-size."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{_short(message)}; see '{self.prog} --help'")


def run(arguments: Sequence[str]) -> int:
    """Run a command line. 0 on success, 2 on a mistake of use or a failure with its sentence, 130 when interrupted."""
    open_output()
    try:
        options = parse(arguments)
        quiet_libraries()
        from core.files import working_folder  # not for --help

        working_folder()
        command = import_module(f"tinydiff_tui.commands.{options.command}").run
        return int(command(options))
    except UserError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _complain(OUT_OF_MEMORY)
    except BrokenPipeError:  # `tinydiff-tui runs | head` is not a failure
        sys.stderr.close()
        return 0
    except OSError as error:  # of a file that nobody expected to fail: no right to look at it, a disk that went away
        place = f"{error.filename}: " if error.filename is not None else ""
        from core.files import reason

        return _complain(f"{place}{reason(error)}; check the file and its permissions, or give another place")
    finally:
        if "core.files" in sys.modules:
            from core.files import take_notices

            for notice in take_notices():
                _complain(notice)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line. Raises UserError."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return _parser().parse_args([*map(_spelling, arguments[:end]), *arguments[end:]])


def _complain(sentence: str) -> int:
    who = "" if is_first() else f"process {os.environ['RANK']}: "
    complain(f"{who}{sentence}")
    return 2


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_COMPLAINT else f"{text[:_LONGEST_COMPLAINT]}…"


class _Version(argparse.Action):
    """Looks the version up only when asked: importlib.metadata is a third of the start-up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"tinydiff-tui {version('tinydiff-tui')}\n")


def _spelling(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else argument


def _path(text: str) -> str:
    """A flag's path; argparse says which flag it is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; give a path, or leave the flag out")
    return text


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:_MOST_DIGITS]}… is too large a number")
    return int(text)


_whole.__name__ = "int"  # which argparse says


def _parser() -> Parser:
    parser = Parser(
        prog="tinydiff-tui",
        description="A terminal workbench for diffusion models: look at data, add noise, train, sample.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True, parser_class=Parser)
    _train(commands.add_parser("train", help="train a model; Ctrl-C stops and leaves a checkpoint"))
    _sample(commands.add_parser("sample", help="draw images from a checkpoint"))
    _evaluate(commands.add_parser("evaluate", help="say in figures how good a checkpoint's images are"))
    _visualize(commands.add_parser("visualize", help="show how images turn into noise"))
    export = commands.add_parser("export", help="write a model's weights for other programs")
    export.add_argument("--checkpoint", type=_path, required=True, help="file written by train")
    export.add_argument(
        "--format", default="safetensors", choices=("safetensors",), help="format of the file (default: safetensors)"
    )
    export.add_argument("--output", type=_path, help="file to write (default: beside the checkpoint)")
    datasets = commands.add_parser("datasets", help="list the data sets, or download one")
    datasets.add_argument("--download", metavar="NAME", help="fetch a data set into the data folder")
    datasets.add_argument("--data-dir", type=_path, help="folder of the data sets")
    _plain(datasets)
    attach = commands.add_parser("attach", help="watch a run of another process in the app, pause or stop it")
    attach.add_argument("folder", type=_path, nargs="?", default="outputs", help="the run's folder (default: outputs)")
    attach.add_argument("--ask", choices=REQUESTS, help="leave this request for the run instead, without the app")
    runs = commands.add_parser("runs", help="list the runs below a folder")
    runs.add_argument("folder", type=_path, nargs="?", default=".", help="where to look (default: here)")
    return parser


def _train(parser: argparse.ArgumentParser) -> None:
    _add_fields(parser, TrainConfig)
    parser.add_argument(
        "--resume", type=_path, nargs="?", const=True, default=False, metavar="CHECKPOINT",
        help="continue the run in --output-dir, from its last.pt or the checkpoint given",
    )  # fmt: skip
    parser.add_argument("--detach", action="store_true", help="train in a process of its own that outlives this terminal")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --output-dir")
    _plain(parser)


def _sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=_path, required=True, help="file written by train")
    parser.add_argument("--output", type=_path, help="PNG to write (default: generated_samples.png in the run's folder)")
    parser.add_argument("--show-intermediate", action="store_true", help="write the denoising steps too, and a GIF of them")
    parser.add_argument("--timesteps", type=_whole, help="T of the model's schedule; only checked, use --steps to spend fewer")
    parser.add_argument(
        "--data-dir",
        type=_path,
        help="folder of the data sets, or of the pictures of a folder:PATH model, for --start image and inpaint",
    )
    _add_fields(parser, SampleConfig)
    _add_compute(parser)
    _plain(parser)


PATHS = ("data_dir", "output_dir")
EVALUATED = ("sampler", "steps", "spacing", "eta", "variance", "seed", "guidance_scale", "guidance_interval")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=_path, required=True, help="file written by train")
    parser.add_argument("--num-images", type=_whole, default=5000, metavar="N", help="images to draw and judge (default: 5000)")
    parser.add_argument("--output", type=_path, help="JSON file to write the figures to as well (default: none)")
    parser.add_argument("--data-dir", type=_path, help="folder of the data sets (default: the one of the training)")
    _add_fields(parser, SampleConfig, only=EVALUATED)
    _add_compute(parser)
    _plain(parser)


def _visualize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--num-images", type=_whole, default=8, help="images to show (default: 8)")
    parser.add_argument("--save-path", type=_path, default="forward_diffusion.png", help="PNG to write (default: %(default)s)")
    _add_fields(parser, TrainConfig, only=("dataset", "data_dir", "image_size", "schedule", "timesteps", "seed"))


def _add_compute(parser: argparse.ArgumentParser) -> None:
    _add_fields(parser, TrainConfig, only=COMPUTE_FIELDS)


def _plain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="plain lines instead of a progress bar")


def _add_fields(parser: argparse.ArgumentParser, config: type, only: tuple[str, ...] = ()) -> None:
    """One flag a field; what is not given stays out of the namespace, so that recipes and defaults can fill it in."""
    for field in dataclasses.fields(config):
        if only and field.name not in only:
            continue
        flag = "--class" if field.name == "label" else "--" + field.name.replace("_", "-")
        text = field.metadata["help"] + ("" if "default" in field.metadata["help"] else f" (default: {field.default})")
        choices = field.metadata["choices"]
        if isinstance(choices, dict):  # a table of core.names
            text += ". " + "; ".join(f"{entry.name}: {entry.help}" for entry in choices.values())
        settings: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **settings)
        else:
            metavar = (
                "|".join(choices)
                if choices and field.name != "dataset"
                else ("N" if isinstance(field.default, int) else "X" if isinstance(field.default, float) else "TEXT")
            )
            kind = _path if field.name in PATHS else _whole if isinstance(field.default, int) else type(field.default)
            parser.add_argument(flag, type=kind, metavar=metavar, **settings)
