"""A folder's tokenizer, tokenizer.json or T5's spiece.model: checked against its model, and never a panic.

The tokenizers library answers damaged files with errors of its own, or with a panic, which is no Exception
and may come as late as with the first prompt that has a certain letter: here they all become ModelErrors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from descant.model.checkpoints.spiece import read_spiece
from descant.model.conditions.text import Encoding
from descant.model.errors import ModelError

_FETCH = "Fetch the tokenizer.json that belongs to these weights (MusicGen: that of t5-base) into the folder."


class FolderTokenizer:
    """The tokenizer of a folder: special tokens added, nothing padded or cut.

    vocabulary: rows of the model's token table. marks: whether a blank prompt's ids are as the model was
    trained. Raises ModelError.
    """

    def __init__(self, folder: Path, vocabulary: int, marks: Callable[[list[int]], bool]) -> None:
        path, spiece = folder / "tokenizer.json", folder / "spiece.model"
        if not path.is_file() and not spiece.is_file():
            raise _bad(
                folder, "has no tokenizer.json, without which no prompt can be read", "Nothing was loaded."
            )
        self._path = path if path.is_file() else spiece
        try:
            given = Tokenizer.from_file(str(path)) if path.is_file() else read_spiece(spiece, vocabulary)
            given.no_truncation()
            given.no_padding()
            blank = list(given.encode("").ids)
            largest = max(given.get_vocab().values(), default=0)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            problem = f"cannot be read as a tokenizer: {error}"
            raise _bad(self._path, problem, "Nothing was loaded.") from error
        largest = max([largest, *blank])
        if largest >= vocabulary:
            problem = f"has ids up to {largest}; allowed: up to {vocabulary - 1}, as its model has them"
            raise _bad(self._path, problem, "Nothing was loaded.")
        if not marks(blank):
            problem = f"marks a blank prompt with {blank}, not as its model was trained"
            raise _bad(self._path, problem, "Nothing was loaded.")
        self._tokenizer = given

    def encode(self, sequence: str) -> Encoding:
        """The prompt's ids, with marks. Raises ModelError if the file proves to be damaged."""
        try:
            return self._tokenizer.encode(sequence)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            problem = f"is damaged: {sequence!r:.80} cannot be encoded ({error})"
            raise _bad(self._path, problem, "The prompt in use is unchanged.") from error


def _bad(path: Path, problem: str, still: str) -> ModelError:
    return ModelError(f"{path} {problem}.", still, _FETCH)
