"""The token files of a run: opened, and checked to come from one tokenizer."""

from pathlib import Path

from assignment1_basics.reference.tokenizer.token_file import TokenFile, open_token_file
from assignment1_basics.reference.train_config import DataConfig


class TrainData:
    """Memory-mapped training tokens, held-out tokens if there are any, and their tokenizer.

    Raises `UserError` if a file is missing, or was written by another tokenizer than
    `config.tokenizer` or than the training file.
    """

    train: TokenFile
    valid: TokenFile | None

    def __init__(self, config: DataConfig):
        self.tokenizer = None
        if config.tokenizer is not None:
            from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer  # slow: numba

            self.tokenizer = Tokenizer.load(config.tokenizer)
        tokenizer_hash = None if self.tokenizer is None else self.tokenizer.hash
        self.train = open_token_file(config.train, tokenizer_hash)
        self.valid = None
        if config.valid is not None:
            self.valid = open_token_file(config.valid, self.train.tokenizer_hash)

    def copy_tokenizer(self, folder: Path) -> None:
        """Put the tokenizer beside the model, so that the run's folder is all that is needed."""
        if self.tokenizer is not None:
            self.tokenizer.save(folder)
