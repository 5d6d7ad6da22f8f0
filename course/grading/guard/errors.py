"""What the guard raises."""


class ForbiddenError(Exception):
    """The student's code did what the handout forbids; the message is one line."""


class SwitchError(Exception):
    """The student's code left a global switch of PyTorch changed; the message is one line."""


class ForbiddenImportError(ForbiddenError, ImportError):
    """A forbidden import; an ImportError, so that `try: import tiktoken` with a fallback works."""
