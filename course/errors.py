"""Errors that a user of a command can mend: one line, no stack trace, a telling exit code."""


class UserError(Exception):
    """The input is wrong; the message names the argument, the value and what would be right.

    The `course` command prints the message as one line and exits with `exit_code`.
    """

    exit_code = 2


def require(condition: bool, name: str, value: object, right: str) -> None:
    """Raise a `UserError` unless a condition on the argument `name` holds."""
    if not condition:
        raise UserError(f"{name} is {value!r}; it must be {right}")


class TrainingDivergedError(UserError):
    """The loss or the gradient norm became NaN or infinite."""

    exit_code = 3


class PreemptedError(UserError):
    """SIGTERM arrived; the work so far is saved and the same command resumes it (EX_TEMPFAIL)."""

    exit_code = 75
