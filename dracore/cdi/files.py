"""Spec files in the CDI directory: written whole or not at all, compared, removed, swept."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dracore.cdi.check import check_device, check_vendor
from dracore.cdi.known import Memory, json_text
from dracore.cdi.render import Part, render_specs
from dracore.cdi.spec import Spec, Specs
from dracore.errors import CdiError
from dracore.model.claim import Result
from dracore.model.seam import Seam, no_seam

Transform: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

REMEMBERED = 256
"""Edits whose transformed text is kept: those of each device, and the common ones."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Cdi:
    """The CDI specs of one driver's claims.

    :param directory: what the container runtime watches, ``/var/run/cdi``; made when first written to.
    :param driver: the DRA driver's name.
    :param seam: passed before and after each step on files.
    :param transform: the last step of writing, from JSON to the one that is written (a simulated plugin
        replaces the numbers of device nodes); of edits alone (``{"containerEdits": ...}``) it makes what it
        makes of them in a file.
    """

    def __init__(
        self,
        directory: Path,
        driver: str,
        seam: Seam = no_seam,
        transform: Transform | None = None,
    ) -> None:
        self.directory = directory
        self._folder = str(directory)
        self.kind = check_vendor(f"k8s.{driver}") + "/claim"
        self._stem = f"dracore-{driver}-"
        self._seam = seam
        self._transform = transform
        self._transformed: dict[str, str] = {}
        self._memory = Memory()
        self._pattern = re.compile(
            rf"\.?{re.escape(self._stem)}(?P<uid>{_UUID.pattern}|[A-Za-z0-9-]+?)(?P<number>-\d+)?\.json(\.tmp)?"
        )

    def id_of(self, claim_uid: str, result: Result) -> str:
        """The CDI id of one result: ``k8s.<driver>/claim=<claimUID>-<device>[-<shareID>]``.

        It holds the claim's uid because runtimes keep what they once read under a name.
        """
        return f"{self.kind}={claim_uid}-{result.cdi_name}"

    def render(self, claim_uid: str, parts: Sequence[Part]) -> dict[str, Spec]:
        """The spec files of a claim, one in most cases; nothing is written.

        :raises CdiError: edits that contradict each other, or that no runtime accepts.
        """
        named = [(check_device(f"{claim_uid}-{part.result.cdi_name}"), part) for part in parts]
        change = self._changed if self._transform else None
        return render_specs(self.kind, self._stem + claim_uid, named, self._memory, change)

    def write(self, specs: Specs) -> None:
        """Writes the files, each whole or not at all; afterwards they survive a power cut.

        A file stands under its name only when its content is on disk. Runtimes look again when a file of
        the directory is renamed, so the temporary one lies in the same directory, under a name they skip.

        :raises CdiError: naming the file and the cause.
        """
        for name, spec in specs.items():
            self._write(name, self._written(spec))
        if specs:
            self._sync_directory()

    def intact(self, specs: Specs) -> bool:
        """Whether every file is there with just this content (after the transform)."""
        for name, spec in specs.items():
            try:
                if (self.directory / name).read_bytes() != self._written(spec):
                    return False
            except OSError:
                return False
        return True

    def remove(self, names: Iterable[str]) -> None:
        """Removes the files; those that are gone already are fine.

        :raises CdiError: naming the file and the cause.
        """
        removed = False
        for name in names:
            path = f"{self._folder}/{name}"
            try:
                self._seam("cdi.remove.before", path)
                # What a writer of it left that died: with its claim gone, nobody else would look for it.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._temporary(name))
                os.unlink(path)
                removed = True
                self._seam("cdi.remove.after", path)
            except FileNotFoundError:
                continue
            except OSError as error:
                # A read-only directory refuses to remove even what is not in it: a claim whose file could
                # never be written must not stay for that.
                if not _is_gone(path):
                    raise _failed("remove", path, error) from error
        if removed:
            self._sync_directory()

    def orphans(self, known: Callable[[], Collection[str]]) -> list[str]:
        """The names of the files of claims that nobody knows, and of what crashed writers left.

        :param known: the uids of all claims in the journal. Asked after the directory is read, so that a
            claim which another instance prepares meanwhile is known. Files of others are never named:
            NVIDIA's own driver uses the same kind, another dracore driver the same beginning of the name.
        """
        try:
            names = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed("list", self._folder, error) from error
        found = [(name, match) for name in names if (match := self._pattern.fullmatch(name))]
        if not found:
            return []
        uids = known()
        return [
            name
            for name, match in found
            if match["uid"] not in uids
            and match["uid"] + (match["number"] or "") not in uids
            and self._is_ours(name, match)
        ]

    def sweep(self, known: Callable[[], Collection[str]]) -> list[str]:
        """Removes :meth:`orphans`, and answers their names."""
        orphans = self.orphans(known)
        self.remove(orphans)
        return orphans

    def _is_ours(self, name: str, match: re.Match[str]) -> bool:
        # ``dracore-a-b-<uid>`` is a claim of driver ``a-b``, not of ``a``: uids of the API server are UUIDs;
        # for any other the file itself has to say it.
        if _UUID.fullmatch(match["uid"]):
            return True
        with contextlib.suppress(OSError, ValueError):
            content = json.loads((self.directory / name).read_bytes())
            return isinstance(content, dict) and content.get("kind") == self.kind
        return False

    def _written(self, spec: Spec) -> bytes:
        """What stands in the file."""
        if self._transform is None:
            return spec.text.encode()
        if spec.written:
            return spec.written.encode()
        return (json_text(self._transform(json.loads(spec.text))) + "\n").encode()

    def _changed(self, edits: str) -> str:
        """The transform of edits, which are the same for many claims."""
        changed = self._transformed.get(edits)
        if changed is None:
            assert self._transform is not None
            changed = json_text(self._transform({"containerEdits": json.loads(edits)})["containerEdits"])
            if len(self._transformed) >= REMEMBERED:
                self._transformed = {}
            self._transformed[edits] = changed
        return changed

    def _temporary(self, name: str) -> str:
        return f"{self._folder}/.{name}.tmp"

    def _write(self, name: str, content: bytes) -> None:
        path, temporary = f"{self._folder}/{name}", self._temporary(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            self._seam("cdi.write.before", temporary)
            try:
                file = os.open(temporary, flags, 0o644)
            except FileNotFoundError:
                self.directory.mkdir(parents=True, exist_ok=True)
                file = os.open(temporary, flags, 0o644)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(file, view) :]
                self._seam("cdi.write.after", temporary)
                self._seam("cdi.fsync.before", temporary)
                os.fsync(file)
                self._seam("cdi.fsync.after", temporary)
            finally:
                os.close(file)
            self._seam("cdi.rename.before", path)
            os.rename(temporary, path)
            self._seam("cdi.rename.after", path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise _failed("write", path, error) from error

    def _sync_directory(self) -> None:
        try:
            self._seam("cdi.dirsync.before", self._folder)
            file = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
            self._seam("cdi.dirsync.after", self._folder)
        except OSError as error:
            raise _failed("sync", self._folder, error) from error


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _failed(verb: str, path: str, error: OSError) -> CdiError:
    return CdiError(
        f"cannot {verb} {path}: {error.strerror or error}",
        fix="check cdi.dir of the node configuration: the driver must be able to write there",
    )
