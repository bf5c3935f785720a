"""One spec file as text, in the two parts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Spec:
    """One spec file: what is this claim's own, and what many claims have word for word.

    The journal keeps the two apart, because the second is most of the file (a GPU's driver libraries: 13 of
    14 kB) and hardly ever another.

    :param own: the file as JSON without its common edits, with a line break at its end.
    :param common: the common edits as JSON, or empty.
    :param written: what stands in the file where that is not `text` and known already.
    """

    own: str
    common: str = ""
    written: str = field(default="", compare=False, repr=False)

    @property
    def text(self) -> str:
        """The file's content before any transform; the same for the same edits."""
        return joined(self.own, self.common)


Specs: TypeAlias = Mapping[str, Spec]
"""Spec files by their names."""


def joined(own: str, common: str) -> str:
    """`own` with `common` as its last member."""
    return f'{own[:-2]},"containerEdits":{common}}}\n' if common else own
