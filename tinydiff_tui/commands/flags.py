"""The flags of every command and their help, made from the configs of core.config. Imports neither torch nor Textual nor Rich."""

import argparse
import dataclasses
import re
import shutil
from collections.abc import Mapping
from typing import Any, NoReturn

from core.config import COMPUTE_FIELDS, GROUPS, REQUESTS, SampleConfig, TrainConfig, default_words
from core.errors import UserError

SHELLS = ("bash", "zsh", "fish", "tcsh")
PATHS = ("data_dir", "output_dir", "teacher")
EVALUATED = ("sampler", "steps", "spacing", "eta", "variance", "seed", "guidance_scale", "guidance_interval")
RACED = ("seed", "label", "guidance_interval", "spacing", "eta", "variance")
VISUALIZED = ("dataset", "data_dir", "image_size", "schedule", "timesteps", "seed")
OUTPUT = "Output"
YOURS = "Your own"
_LONGEST_COMPLAINT = 300  # characters of a message that repeats what was typed
_MOST_DIGITS = 20
_WIDEST = 110  # columns of the help: longer lines are hard to follow

EXAMPLES = """without a command: open the app

  tinydiff-tui visualize --dataset glyphs   how images turn into noise
  tinydiff-tui train --budget 5m            five minutes of training
  tinydiff-tui sample                       images from the newest run
  tinydiff-tui --extend ideas.py            the app, with schedules and networks of your own
  tinydiff-tui COMMAND --help               all its flags, with their defaults
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """A line of a help text stays one, wrapped under the words of its entry."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=min(_WIDEST, shutil.get_terminal_size().columns - 2))
        self._action_max_length = 14  # argparse forgets that commands are indented

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap  # only where help is printed

        lines: list[str] = []
        for line in text.splitlines():
            entry = re.match(r" +\S+ +", line)
            lines += textwrap.wrap(line, width, subsequent_indent=" " * len(entry[0]) if entry else "")
        return lines


class Parser(argparse.ArgumentParser):
    """One sentence on an error instead of a usage dump, no flag that was only begun, and flags in groups with a title."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Help, **settings)
        self._titled: dict[str, Any] = {}

    def error(self, message: str) -> NoReturn:
        short = message if len(message) <= _LONGEST_COMPLAINT else f"{message[:_LONGEST_COMPLAINT]}…"
        raise UserError(f"{short}; see '{self.prog} --help'")

    def group(self, title: str) -> Any:
        """The group of this title; groups stand in the order in which they were first asked for."""
        if title not in self._titled:
            self._titled[title] = self.add_argument_group(title)
        return self._titled[title]


class _Version(argparse.Action):
    """Looks the version up only when asked: importlib.metadata is a third of the start-up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"tinydiff-tui {version('tinydiff-tui')}\n")


def path(text: str) -> str:
    """A flag's path; argparse says which flag it is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; give a path, or leave the flag out")
    return text


def folder(text: str) -> str:
    """A path of a folder."""
    return path(text)


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:_MOST_DIGITS]}… is too large a number")
    return int(text)


_whole.__name__ = "int"  # which argparse says


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _wholes(text: str) -> list[int]:
    return [_whole(part) for part in text.split(",")]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


_names.__name__, _wholes.__name__, _numbers.__name__ = "list of names", "list of whole numbers", "list of numbers"


def make_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="tinydiff-tui",
        description="Diffusion models in the terminal: look at data, add noise, train, sample.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _extend(parser)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True, parser_class=Parser)

    def command(name: str, what: str, example: str, result: str, arguments: str = "[options]") -> Parser:
        made: Parser = commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            usage=f"%(prog)s {arguments}",
            epilog=f"example:\n  {example}\n      {result}",
        )
        return made

    _train(
        command(
            "train", "train a model; Ctrl-C stops and leaves a checkpoint",
            "tinydiff-tui train --dataset glyphs --budget 5m --output-dir out/glyphs",
            "five minutes on whatever machine; then draw from it with: tinydiff-tui sample",
        )
    )  # fmt: skip
    _sample(
        command(
            "sample", "draw images from a checkpoint, and save them as a PNG",
            "tinydiff-tui sample --num-images 20 --steps 12 --caption",
            "twenty images of the newest run, with what they were drawn with under them",
        )
    )  # fmt: skip
    _evaluate(
        command(
            "evaluate", "say in figures how good a checkpoint's images are",
            "tinydiff-tui evaluate --checkpoint out/glyphs/model_final.pt --num-images 2000 --json",
            "Frechet distance, precision and recall as JSON, for a script to compare",
        )
    )  # fmt: skip
    _race(
        command(
            "race", "draw the same noises by several samplers or settings, side by side",
            "tinydiff-tui race --samplers ddim,unipc --steps 4,10",
            "four rows of the same ten noises of the newest run, with their times and the judge's distances",
        )
    )  # fmt: skip
    _visualize(
        command(
            "visualize", "show how images turn into noise, and save it as a PNG",
            "tinydiff-tui visualize --dataset glyphs --schedule cosine --num-images 4",
            "four digits at eight times between image and noise",
        )
    )  # fmt: skip
    _show(
        command(
            "show", "print a picture, or a run's samples, in the terminal",
            "tinydiff-tui show out/glyphs",
            "the samples of the last epoch; also: tinydiff-tui show generated_samples.png",
            arguments="[FILE]",
        )
    )  # fmt: skip
    _runs(
        command(
            "runs", "list the runs below a folder, newest first",
            "tinydiff-tui runs out --json",
            "every run below out/, for a script to read",
            arguments="[FOLDER] [options]",
        )
    )  # fmt: skip
    _attach(
        command(
            "attach", "watch a run of another process in the app, pause or stop it",
            "tinydiff-tui attach --ask pause",
            "the run that is live stops between two steps, until: tinydiff-tui attach --ask resume",
            arguments="[FOLDER] [options]",
        )
    )  # fmt: skip
    command(
        "learn", "open the app on its eight lessons",
        "tinydiff-tui learn",
        "what noise is, training, sampling: predict, run, and see whether you were right",
        arguments="",
    )  # fmt: skip
    _export(
        command(
            "export", "write a model's weights for other programs",
            "tinydiff-tui export --checkpoint out/glyphs/model_final.pt --output glyphs.safetensors",
            "the averaged weights, with the config in the metadata",
        )
    )  # fmt: skip
    _datasets(
        command(
            "datasets", "list the data sets, or download one",
            "tinydiff-tui datasets --download mnist",
            "its files and checksums are torchvision's; glyphs needs no download",
        )
    )  # fmt: skip
    completion = command(
        "completion", "print what makes a shell complete commands, flags and names",
        'eval "$(tinydiff-tui completion bash)"',
        "completion in this shell; the README says where each shell keeps it",
        arguments="SHELL",
    )  # fmt: skip
    for made in commands.choices.values():
        _extend(made)
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}")
    return parser


def _train(parser: Parser) -> None:
    _add_fields(parser, TrainConfig)
    saving = parser.group("Saving")
    saving.add_argument(
        "--resume", type=path, nargs="?", const=True, default=False, metavar="CHECKPOINT",
        help="continue the run in --output-dir, from its last.pt or the checkpoint given (default: no)",
    )  # fmt: skip
    _switch(saving, "--overwrite", "replace the run in --output-dir")
    _switch(parser.group("Where it runs"), "--detach", "train in a process of its own that outlives this terminal")
    _plain(parser)


def _sample(parser: Parser) -> None:
    _checkpoint(
        parser, "; where nothing was trained, the model of glyphs that comes with the program", ", or folder saved by diffusers"
    )
    parser.group("Model").add_argument(
        "--timesteps", type=_whole, metavar="N",
        help="T of the model's schedule; only checked, use --steps to spend fewer (default: not checked)",
    )  # fmt: skip
    _add_fields(parser, SampleConfig)
    parser.group("Start").add_argument(
        "--data-dir", type=folder, metavar="PATH",
        help="folder of the data sets, or of the pictures of a folder:PATH model, for --start image and inpaint "
        "(default: the one of the training)",
    )  # fmt: skip
    output = parser.group(OUTPUT)
    output.add_argument(
        "--output", type=path, metavar="PNG", help="file to write (default: generated_samples.png in the run's folder)"
    )
    _switch(output, "--caption", "write model, sampler, evaluations and seed under the picture")
    _switch(output, "--show-intermediate", "write the denoising steps too, and a GIF of them")
    _plain(parser, "plain lines instead of a progress bar and a picture")
    _add_fields(parser, TrainConfig, only=COMPUTE_FIELDS)


def _evaluate(parser: Parser) -> None:
    _checkpoint(parser)
    parser.group("Pictures").add_argument(
        "--num-images", type=_whole, default=5000, metavar="N", help="images to draw and judge (default: 5000)"
    )
    _add_fields(parser, SampleConfig, only=EVALUATED)
    parser.group("Data").add_argument(
        "--data-dir", type=folder, metavar="PATH", help="folder of the data sets (default: the one of the training)"
    )
    output = parser.group(OUTPUT)
    output.add_argument("--output", type=path, metavar="JSON", help="file to write the figures to as well (default: none)")
    output.add_argument(
        "--copies", type=path, metavar="PNG",
        help="sheet to write of the samples that are most like copies of training images, beside these (default: none)",
    )  # fmt: skip
    _json(output, "print the figures as one JSON document, and progress to standard error")
    _plain(parser)
    _add_fields(parser, TrainConfig, only=COMPUTE_FIELDS)


def _race(parser: Parser) -> None:
    parser.group("Model").add_argument(
        "--checkpoint", type=path, action="append", metavar="FILE",
        help="file written by train, or folder saved by diffusers; given again, another that takes part (default: that of the "
        "newest run below this folder)",
    )  # fmt: skip
    parser.group("Pictures").add_argument(
        "--num-images", type=_whole, default=10, metavar="N", help="images that each lane draws (default: 10)"
    )
    lanes = parser.group("Sampler")
    lanes.add_argument(
        "--samplers", type=_names, default=[""], metavar="NAME,...", help="samplers to race (default: the model's own)"
    )
    lanes.add_argument(
        "--steps", type=_wholes, default=[0], metavar="N,...",
        help="network evaluations to spend, each by every sampler (default: what suits the sampler)",
    )  # fmt: skip
    parser.group("Guidance").add_argument(
        "--guidance-scales", type=_numbers, default=[-1.0], metavar="X,...",
        help="guidance, each for every sampler (default: the model's own)",
    )  # fmt: skip
    _add_fields(parser, SampleConfig, only=RACED)
    parser.group("Data").add_argument(
        "--data-dir", type=folder, metavar="PATH", help="folder of the data sets (default: the one of the training)"
    )
    output = parser.group(OUTPUT)
    output.add_argument("--output", type=path, metavar="PNG", help="file to write (default: race.png in the run's folder)")
    _json(output, "print the table as one JSON document, and progress to standard error")
    _plain(parser, "plain lines instead of a progress bar and a picture")
    _add_fields(parser, TrainConfig, only=COMPUTE_FIELDS)


def _visualize(parser: Parser) -> None:
    parser.group("Data").add_argument("--num-images", type=_whole, default=8, metavar="N", help="images to show (default: 8)")
    _add_fields(parser, TrainConfig, only=VISUALIZED, defaults={"schedule": "linear"})
    output = parser.group(OUTPUT)
    output.add_argument(
        "--save-path", type=path, default="forward_diffusion.png", metavar="PNG", help="file to write (default: %(default)s)"
    )
    _plain(parser, "no picture in the terminal")


def _show(parser: Parser) -> None:
    parser.add_argument(
        "file", type=path, nargs="?", metavar="FILE",
        help="PNG, JPEG or GIF (its last frame), a run's folder or one of its checkpoints (default: the newest run)",
    )  # fmt: skip


def _runs(parser: Parser) -> None:
    parser.add_argument("folder", type=folder, nargs="?", default=".", metavar="FOLDER", help="where to look (default: here)")
    _json(parser.group(OUTPUT), "print one JSON document instead of a table")


def _attach(parser: Parser) -> None:
    parser.add_argument(
        "folder", type=folder, nargs="?", metavar="FOLDER",
        help="the run's folder (default: the run that is live below this folder, else the newest)",
    )  # fmt: skip
    parser.add_argument(
        "--ask", choices=REQUESTS, help="leave this request for the run instead, without the app (default: open the app)"
    )


def _export(parser: Parser) -> None:
    _checkpoint(parser)
    output = parser.group(OUTPUT)
    output.add_argument(
        "--format", default="safetensors", choices=("safetensors", "diffusers"), help="format of the file (default: safetensors)"
    )
    output.add_argument("--output", type=path, metavar="FILE", help="file to write (default: beside the checkpoint)")


def _datasets(parser: Parser) -> None:
    parser.group("Data").add_argument(
        "--download", metavar="NAME", help="fetch a data set into the data folder (default: only list them)"
    )
    parser.group("Data").add_argument(
        "--data-dir", type=folder, metavar="PATH",
        help="folder of the data sets (default: TINYDIFF_DATA_DIR, or the user's data folder)",
    )  # fmt: skip
    _json(parser.group(OUTPUT), "print one JSON document instead of a table")
    _plain(parser)


def _checkpoint(parser: Parser, otherwise: str = "", elsewhere: str = "") -> None:
    parser.group("Model").add_argument(
        "--checkpoint", type=path, metavar="FILE",
        help=f"file written by train{elsewhere} (default: that of the newest run below this folder{otherwise})",
    )  # fmt: skip


def _extend(parser: Parser) -> None:
    """For help and completion: the files are read, and taken out of the command line, before there is a parser."""
    parser.group(YOURS).add_argument(
        "--extend", type=path, action="append", metavar="FILE", default=argparse.SUPPRESS,
        help="Python file with schedules, networks, samplers and data sets of yours; may be given more than once "
        "(default: TINYDIFF_EXTEND)",
    )  # fmt: skip


def _switch(group: Any, flag: str, text: str) -> None:
    group.add_argument(flag, action="store_true", help=f"{text} (default: no)")


def _json(group: Any, text: str) -> None:
    _switch(group, "--json", text)


def _plain(parser: Parser, text: str = "plain lines instead of a progress bar") -> None:
    _switch(parser.group(OUTPUT), "--plain", text)


def _add_fields(parser: Parser, config: type, only: tuple[str, ...] = (), defaults: Mapping[str, str] | None = None) -> None:
    """One flag a field, in its group; what is not given stays out of the namespace, so that recipes and defaults can fill it in.

    `defaults` are those that a command has of its own.
    """
    fields = [field for field in dataclasses.fields(config) if not only or field.name in only]
    for field in sorted(fields, key=lambda field: GROUPS.index(field.metadata["group"])):
        flag = "--class" if field.name == "label" else "--" + field.name.replace("_", "-")
        text = f"{field.metadata['help']} (default: {(defaults or {}).get(field.name) or default_words(field)})"
        choices, whole = field.metadata["choices"], isinstance(field.default, int)
        if isinstance(choices, dict):  # a table of core.names
            width = max(map(len, choices))
            text += "".join(f"\n  {entry.name:<{width}}  {entry.help}" for entry in choices.values())
        settings: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
        group = parser.group(field.metadata["group"])
        if isinstance(field.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **settings)
        elif field.name in PATHS:
            group.add_argument(flag, type=folder, metavar="PATH", **settings)
        else:
            metavar = "N" if whole else "X" if isinstance(field.default, float) else "TEXT"
            if choices:
                metavar = "NAME" if isinstance(choices, dict) else "|".join(choices)
            group.add_argument(flag, type=_whole if whole else type(field.default), metavar=metavar, **settings)
