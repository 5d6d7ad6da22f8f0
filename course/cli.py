"""The `course` command: a table of names, each a module with `Options` and `run(options)`.

The module of a command is imported only when that command is called, so `course --help` is
immediate and this package depends on no assignment.
"""

import contextlib
import functools
import importlib
import io
import itertools
import operator
import os
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from course.errors import UserError

Options = TypeVar("Options")

START_AGAIN = "no file is half written; the same command starts again"
"""True of every command, since files appear whole; those that save on the way say more."""


class Command(NamedTuple):
    """Where a command lives and what it does, in one line."""

    module: str
    summary: str


COMMANDS = {
    "demo": Command(
        "assignment1_basics.reference.commands.demo",
        "from text on this machine to a trained model and its samples, in under 4 minutes",
    ),
    "corpus": Command(
        "course.corpus.command",
        "write a text corpus: built-in prose or stories, your files, a Hugging Face dataset",
    ),
    "tokenizer train": Command(
        "assignment1_basics.reference.commands.tokenizer_train",
        "train a byte-level BPE tokenizer on a text file",
    ),
    "tokenizer encode": Command(
        "assignment1_basics.reference.commands.tokenizer_encode",
        "encode a text file into a memory-mappable token file",
    ),
    "tokenizer inspect": Command(
        "assignment1_basics.reference.commands.tokenizer_inspect",
        "show a tokenizer's longest tokens, compression and how it splits a text",
    ),
    "train": Command(
        "assignment1_basics.reference.commands.train",
        "train a Transformer language model on a token file",
    ),
    "generate": Command(
        "assignment1_basics.reference.commands.generate",
        "continue a prompt with a trained model",
    ),
    "export": Command(
        "assignment1_basics.reference.commands.export",
        "write a trained model as a Hugging Face Llama, for other software",
    ),
    "account": Command(
        "assignment1_basics.reference.commands.account",
        "parameters, FLOPs, memory and training time of a model, by part",
    ),
    "benchmark": Command(
        "assignment2_systems.reference.commands.benchmark",
        "time, profile and draw the memory of a training step, by phase and precision",
    ),
    "sweep": Command(
        "course.sweep",
        "run one command over a grid of options, then a table and a plot",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (0 done, 2 bad input, 130 interrupted)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # in a Latin-1 locale, a dash is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        run_command(argv)
        print(end="", flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(f"interrupted; {str(stop) or START_AGAIN}", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader (`| head`) has gone; that is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        print(f"error: {str(error) or 'there is not enough memory'}", file=sys.stderr)
        return UserError.exit_code
    except OSError as error:  # a path that no command has checked
        if error.filename is None:
            raise
        print(f"error: {str(error.filename)!r}: {error.strerror}", file=sys.stderr)
        return UserError.exit_code
    return 0


def run_command(argv: Sequence[str]) -> None:
    """Run one command of `argv`; its errors are the caller's."""
    name, arguments = _split_command(list(argv))
    if name is None:
        print(_overview(arguments[0] if arguments else ""))
        return
    module = importlib.import_module(COMMANDS[name].module)
    parse = getattr(module, "parse", None)
    if parse is None:
        parse = functools.partial(parse_options, module.Options, module.__doc__)
    module.run(parse(arguments, f"course {name}"))


def _split_command(argv: list[str]) -> tuple[str | None, list[str]]:
    """Split the arguments into a command's name and its own; (None, [group]) asks for help."""
    words = " ".join(argv[:2])
    for name in (words, words.split(" ")[0]):
        if name in COMMANDS:
            return name, argv[len(name.split()) :]
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    group = argv[0] if argv and argv[0] in groups else ""
    rest = argv[1:] if group else argv
    if not rest or rest[0] in ("-h", "--help", "help"):
        return None, [group]
    known = [name for name in COMMANDS if name.startswith(group)]
    asked = " ".join(argv[:2] if group else argv[:1])
    raise UserError(f"no command {asked!r}; there are: {', '.join(known)}")


def _overview(group: str) -> str:
    rows = {name: command for name, command in COMMANDS.items() if name.startswith(group)}
    width = max(map(len, rows))
    lines = [f"usage: course {group or 'COMMAND'} ...", ""]
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in rows.items()]
    lines += ["", "`course COMMAND --help` lists a command's options."]
    return "\n".join(lines)


def parse_options(
    kind: type[Options],
    description: str | None,
    arguments: list[str],
    prog: str,
    default: Options | None = None,
) -> Options:
    """Read a dataclass of options from the command line, over `default` if there is one.

    Raises:
        UserError: an option is unknown, missing or of the wrong type.
    """
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind,
                args=arguments,
                prog=prog,
                description=description,
                default=tyro.MISSING_NONPROP if default is None else default,
            )
    except SystemExit as stop:
        if not stop.code or not said.getvalue():
            raise
        raise UserError(f"{_one_line(said.getvalue())}; see `{prog} --help`") from None


def _one_line(box: str) -> str:
    """Return what tyro says in a box of several lines: the message, and what it suggests."""
    rows = [row.strip("╭╮╰╯│─ ") for row in box.splitlines()[1:]]  # without the title
    rows = [row if row.strip("-") else "" for row in rows]  # lines of "-" where there is no UTF-8
    told = itertools.takewhile(bool, itertools.dropwhile(operator.not_, rows))
    message = " ".join(told).removeprefix("Error parsing ").rstrip(".")
    if "Perhaps you meant:" in rows[:-1]:
        message += f"; did you mean {rows[rows.index('Perhaps you meant:') + 1]}?"
    return message[:1].lower() + message[1:]


def value_of(flag: str, arguments: list[str]) -> str | None:
    """Return what follows `flag` (or `flag=`), None if it is not there.

    For a flag that names the defaults of the others, and so is needed before they are read.
    """
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
        if argument == flag and index + 1 < len(arguments):
            return arguments[index + 1]
    return None


if __name__ == "__main__":
    sys.exit(main())
