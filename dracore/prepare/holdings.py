"""Effects in the journal, and who holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dracore.errors import writable
from dracore.model.device import JSON
from dracore.prepare.transaction import Tx, decode, encode

EffectState: TypeAlias = Literal["intent", "applied", "reverting"]
"""``intent``: about to be applied, or half applied. ``reverting``: to be reverted, perhaps half done."""

_EFFECT = (
    "key, kind, params, before, outcome, state, seq, distribution, may_defer, error, drift, since, "
    "reboot, boot"
)


DOUBT = "not looked at since"
"""A drift that begins so is none yet: nobody counts on the effect before the node has been asked."""


@dataclass(frozen=True, slots=True)
class Held:
    """One effect as the journal knows it.

    :param seq: the order of application on this node.
    :param distribution: the package that brings the kind, for when it is not installed any more.
    :param error: why its last revert failed.
    :param drift: how the node differs from it, as the last probe saw.
    :param reboot: what a reboot does to it (:data:`~dracore.model.effect.AtReboot`).
    :param boot: the boot in which it was made, or seen last after a reboot.
    """

    key: str
    kind: str
    params: dict[str, JSON]
    before: JSON
    outcome: JSON
    state: EffectState
    seq: int
    distribution: str
    deferrable: bool
    error: str
    drift: str
    since: float
    reboot: str = ""
    boot: str = ""


def get(tx: Tx, key: str) -> Held | None:
    row = tx.row(f"SELECT {_EFFECT} FROM effects WHERE key = ?", (key,))  # noqa: S608
    return _held(row) if row else None


def every(tx: Tx, *, kind: str | None = None) -> list[Held]:
    """All effects, or those of one kind, in the order of application."""
    if kind is None:
        rows = tx.rows(f"SELECT {_EFFECT} FROM effects ORDER BY seq")  # noqa: S608
    else:
        rows = tx.rows(f"SELECT {_EFFECT} FROM effects WHERE kind = ? ORDER BY seq", (kind,))  # noqa: S608
    return [_held(row) for row in rows]


def pending(tx: Tx) -> list[Held]:
    """Effects that wait for a revert, the latest first."""
    rows = tx.rows(f"SELECT {_EFFECT} FROM effects WHERE state != 'applied' ORDER BY seq DESC")  # noqa: S608
    return [_held(row) for row in rows]


def unheld(tx: Tx) -> list[str]:
    """Keys of applied effects that nobody holds (out of a damaged journal), the latest first."""
    rows = tx.rows(
        "SELECT key FROM effects WHERE state = 'applied'"
        " AND NOT EXISTS (SELECT 1 FROM holders WHERE holders.key = effects.key) ORDER BY seq DESC"
    )
    return [row[0] for row in rows]


def holders(tx: Tx, key: str) -> list[str]:
    """Who holds an effect, first come first."""
    return [row[0] for row in tx.rows("SELECT holder FROM holders WHERE key = ? ORDER BY seq", (key,))]


def all_holders(tx: Tx) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, holder in tx.rows("SELECT key, holder FROM holders ORDER BY seq"):
        found.setdefault(key, []).append(holder)
    return found


def keys_of(tx: Tx, holder: str) -> list[str]:
    """What a claim or plugin holds, the latest hold first: the order of release."""
    rows = tx.rows("SELECT key FROM holders WHERE holder = ? ORDER BY seq DESC", (holder,))
    return [row[0] for row in rows]


def sound(tx: Tx, holder: str) -> set[str]:
    """Keys of what `holder` holds and the node has, as far as is known."""
    rows = tx.rows(
        "SELECT key FROM holders JOIN effects USING (key)"
        " WHERE holder = ? AND effects.state = 'applied' AND coalesce(drift, '') = ''",
        (holder,),
    )
    return {row[0] for row in rows}


def plugin_holders(tx: Tx) -> set[str]:
    rows = tx.rows("SELECT DISTINCT holder FROM holders WHERE holder >= 'plugin:' AND holder < 'plugin;'")
    return {row[0] for row in rows}


def strangers(tx: Tx) -> set[str]:
    """Holders that are neither a plugin nor a claim that the journal knows."""
    rows = tx.rows(
        "SELECT DISTINCT holder FROM holders WHERE NOT (holder >= 'plugin:' AND holder < 'plugin;')"
        " AND NOT EXISTS (SELECT 1 FROM claims WHERE uid = holder)"
    )
    return {row[0] for row in rows}


# --- writing ----------------------------------------------------------------------------------------------


def intend(
    tx: Tx,
    *,
    key: str,
    kind: str,
    params: JSON,
    before: str,
    distribution: str,
    deferrable: bool,
    reboot: str,
    boot: str,
    holder: str,
) -> None:
    """The intent to apply an effect, with what stands there now. `before` is JSON text."""
    number = tx.number()
    text = encode(params)
    tx.execute(
        f"INSERT INTO effects ({_EFFECT})"  # noqa: S608
        " VALUES (?, ?, ?, ?, NULL, 'intent', ?, ?, ?, '', '', ?, ?, ?)",
        (key, kind, text, before, number, distribution, int(deferrable), tx.now(), reboot, boot),
    )
    tx.execute("INSERT INTO holders (key, holder, seq) VALUES (?, ?, ?)", (key, holder, number))


def applied(tx: Tx, key: str, outcome: str) -> None:
    """`outcome` is JSON text."""
    tx.execute(
        "UPDATE effects SET state = 'applied', outcome = ?, since = ? WHERE key = ?", (outcome, tx.now(), key)
    )


def join(tx: Tx, key: str, holder: str) -> None:
    tx.execute(
        "INSERT OR IGNORE INTO holders (key, holder, seq) VALUES (?, ?, ?)", (key, holder, tx.number())
    )


def leave(tx: Tx, key: str, holder: str) -> None:
    tx.execute("DELETE FROM holders WHERE key = ? AND holder = ?", (key, holder))


def reverting(tx: Tx, key: str, error: str = "") -> None:
    tx.execute(
        "UPDATE effects SET state = 'reverting', error = ?, since = ? WHERE key = ?",
        (writable(error), tx.now(), key),
    )


def drifted(tx: Tx, key: str, drift: str) -> None:
    tx.execute("UPDATE effects SET drift = ? WHERE key = ?", (drift, key))


def seen_in(tx: Tx, key: str, boot: str) -> None:
    """What the reboot before `boot` did to an effect is settled."""
    tx.execute("UPDATE effects SET boot = ? WHERE key = ?", (boot, key))


def forget(tx: Tx, key: str) -> None:
    """The effect is not on the node any more; nobody holds it."""
    tx.execute("DELETE FROM holders WHERE key = ?", (key,))
    tx.execute("DELETE FROM effects WHERE key = ?", (key,))


def _held(row: Sequence[Any]) -> Held:
    key, kind, params, before, outcome, state, seq, distribution, deferrable, *rest = row
    error, drift, since, reboot, boot = rest
    return Held(
        key,
        kind,
        decode(params),
        decode(before),
        decode(outcome),
        state,
        seq,
        distribution,
        bool(deferrable),
        error or "",
        drift or "",
        since,
        reboot or "",
        boot or "",
    )
