"""The one error of the model package: what happened, what still works, what to do."""

from __future__ import annotations


class ModelError(Exception):
    """Raised for every bad value, file or use the model package meets.

    what: what happened, naming the value and what is allowed. still: what still works. do: what to do next.
    str(error) is these three, a line each.
    """

    def __init__(self, what: str, still: str, do: str) -> None:
        super().__init__(what, still, do)
        self.what = what
        self.still = still
        self.do = do

    def __str__(self) -> str:
        return f"{self.what}\n{self.still}\n{self.do}"
