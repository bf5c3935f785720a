"""Who holds effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dracore.prepare.transaction import Tx


class Holder(Protocol):
    """Who holds: a claim (by uid) or a plugin (``plugin:NAME``)."""

    @property
    def name(self) -> str: ...

    def joining(self, tx: Tx) -> Any:
        """Runs in the same transaction as the hold; a claim writes its record with its first one."""
        ...

    def joined(self, value: Any) -> None:
        """What `joining` answered, once it is committed."""
        ...

    def waited(self) -> None:
        """Somebody else had the key's lock until now.

        :raises DracoreError: nobody waits for this hold any more.
        """
        ...


@dataclass(frozen=True)
class PluginHolder:
    plugin: str

    @property
    def name(self) -> str:
        return f"plugin:{self.plugin}"

    def joining(self, tx: Tx) -> None:
        pass

    def joined(self, value: Any) -> None:
        pass

    def waited(self) -> None:
        pass
