import os
import subprocess
import sys
import types
from dataclasses import dataclass

import pytest

from course import cli
from course.cli import COMMANDS, Command, main
from course.errors import PreemptedError, TrainingDivergedError, UserError


@dataclass(frozen=True)
class Options:
    """Options of a command that exists for this test."""

    size: int = 1
    loud: bool = False


@pytest.fixture
def command(monkeypatch):
    """A command `try out` whose `run` the test replaces."""
    module = types.ModuleType("a_command_for_this_test", "Does nothing much.")
    module.Options, module.run = Options, lambda options: None
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "try out", Command(module.__name__, "does nothing"))
    return module


def test_options_reach_the_command(command):
    calls = []
    command.run = calls.append
    assert main(["try", "out", "--size", "3", "--loud"]) == 0
    assert calls == [Options(3, True)]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("size is 0; it must be positive"), 2, "error: size is 0; it must be positive"),
        (TrainingDivergedError("step 7"), 3, "error: step 7"),
        (PreemptedError("saved"), 75, "error: saved"),
        (FileNotFoundError(2, "No such file", "a.txt"), 2, "error: 'a.txt': No such file"),
        (MemoryError("Unable to allocate 7 TiB"), 2, "error: Unable to allocate 7 TiB"),
        (KeyboardInterrupt(), 130, f"interrupted; {cli.START_AGAIN}"),
        (KeyboardInterrupt("saved at step 3"), 130, "interrupted; saved at step 3"),
    ],
)
def test_each_end_has_its_exit_code_and_one_line(command, capsys, error, code, message):
    def run(options):
        raise error

    command.run = run
    assert main(["try", "out"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == message + "\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(5, "of no file")])
def test_a_bug_keeps_its_stack_trace(command, error):
    def run(options):
        raise error

    command.run = run
    with pytest.raises(type(error)):
        main(["try", "out"])


def test_a_module_may_read_its_own_arguments(command):
    calls = []
    command.run = calls.append
    command.parse = lambda arguments, prog: (arguments, prog)
    main(["try", "out", "--size", "5"])
    assert calls == [(["--size", "5"], "course try out")]


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(capsys, argv):
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_help_of_a_group(capsys):
    assert main(["tokenizer"]) == 0
    out = capsys.readouterr().out
    assert "tokenizer encode" in out
    assert "generate" not in out


@pytest.mark.parametrize("argv", [["trian"], ["tokenizer", "tarin"]])
def test_an_unknown_command_lists_those_there_are(capsys, argv):
    assert main([*argv, "--steps", "5"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: no command {' '.join(argv)!r}")
    assert "train" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--size", "many"], "--size: invalid literal for int() with base 10: 'many'"),
        (["--sizes", "3"], "unrecognized options: --sizes, 3; did you mean --size INT?"),
        (["--xyzzy"], "unrecognized options: --xyzzy"),
        (["--size"], "missing value for argument '--size'. Expected 1 values"),
    ],
)
def test_a_wrong_option_is_one_line(command, capsys, argv, says):
    assert main(["try", "out", *argv]) == 2
    assert capsys.readouterr().err == f"error: {says}; see `course try out --help`\n"


def test_help_is_no_error(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["try", "out", "--help"])
    assert stopped.value.code == 0
    assert "Does nothing much." in capsys.readouterr().out


def test_every_module_of_the_table_exists():
    import importlib.util

    for command in COMMANDS.values():
        assert importlib.util.find_spec(command.module), command.module


def test_help_is_immediate():
    code = (
        "import sys; from course.cli import main; main(['--help']); "
        "assert not {'torch', 'numpy', 'tyro', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\\xe9\\u2013"), ("utf-8", "é–")])
def test_a_terminal_of_another_encoding_shows_what_it_can(encoding, shown):
    code = "import course.cli as cli; cli.run_command = lambda _: print('é–'); cli.main([])"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.decode() == f"{shown}\n"
    assert done.stderr == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_before_the_end_is_no_error(unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "course.cli", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_closed_standard_output_is_no_error():
    command = f"{sys.executable} -m course.cli --help >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_gone_is_no_error():
    command = f"{sys.executable} -m course.cli --help | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode in (0, 1)  # 1: written into the closed pipe at exit, after `main`
    assert "Traceback" not in done.stderr
    assert cli.__doc__
