"""One spec file as text, in the two parts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Spec:
    """One spec file: what is this claim's own, and what many claims have word for word.

    The two are written, kept and made harmless (``Cdi``'s `transform`) apart, because the second is most of
    the file (a GPU's driver libraries: 13 of 14 kB) and hardly ever another.

    :param own: the file as JSON without its common edits, with a line break at its end.
    :param common: the common edits as JSON, or empty.
    """

    own: str
    common: str = ""

    @property
    def text(self) -> str:
        """The file's content; the same for the same edits."""
        return joined(self.own, self.common)


Specs: TypeAlias = Mapping[str, Spec]
"""Spec files by their names."""


def joined(own: str, common: str) -> str:
    """`own` with `common` as its last member."""
    return f'{own[:-2]},"containerEdits":{common}}}\n' if common else own
