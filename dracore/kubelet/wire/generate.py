"""Generates the ``*_pb2.py`` and ``*_pb2.pyi`` of this folder from its ``.proto`` files (``make proto``).

Runs where grpcio-tools is installed (dependency group ``gen``), never in a driver. Each module gets a
descriptor pool of its own: the kubelet's packages ``v1`` and ``v1alpha1`` are so generic that in the
process-wide default pool they would collide with any other library that speaks a kubelet contract. Nor is
there a ``_pb2_grpc.py``: services are bound by the method names in :mod:`dracore.kubelet.wire.methods`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HEADER = '''\
"""Generated from {source} by ``make proto``; do not edit."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import message_factory as _message_factory
{enum_import}
_pool = _descriptor_pool.DescriptorPool()
DESCRIPTOR = _pool.AddSerializedFile(
    {serialized!r}
)
'''
TYPES_HEADER = """\
# Generated from {source} by `make proto`; do not edit.
# mypy: disable-error-code="type-arg"
"""
ENUM_IMPORT = "from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper\n"


def render(source: str, serialized: bytes, messages: list[str], enums: dict[str, dict[str, int]]) -> str:
    """The text of one module: its descriptor in a private pool, then a class for each message and enum."""
    lines = [
        HEADER.format(source=source, serialized=serialized, enum_import=ENUM_IMPORT if enums else "").rstrip()
    ]
    for enum, values in enums.items():
        lines.append(f"{enum} = _enum_type_wrapper.EnumTypeWrapper(DESCRIPTOR.enum_types_by_name[{enum!r}])")
        lines += [f"{name} = {number}" for name, number in values.items()]
    for message in messages:
        lines.append(
            f"{message} = _message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name[{message!r}])"
        )
        lines.append(f"{message}.__module__ = __name__")
    return "\n".join(lines) + "\n"


def generate(folder: Path) -> None:
    """Writes the modules for every ``.proto`` in ``folder``; raises SystemExit when protoc refuses one."""
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc  # type: ignore[import-not-found,import-untyped,unused-ignore]

    sources = sorted(path.name for path in folder.glob("*.proto"))
    for source in sources:  # one call a file: two of them define the package "v1"
        with tempfile.NamedTemporaryFile() as out:
            code = protoc.main(
                ["protoc", f"-I{folder}", f"--descriptor_set_out={out.name}", f"--pyi_out={folder}", source]
            )
            if code:
                raise SystemExit(code)
            described = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())
        (file,) = described.file
        text = render(
            source,
            file.SerializeToString(deterministic=True),
            [message.name for message in file.message_type],
            {enum.name: {value.name: value.number for value in enum.value} for enum in file.enum_type},
        )
        (folder / source.replace(".proto", "_pb2.py")).write_text(text, encoding="utf-8")
        types = folder / source.replace(".proto", "_pb2.pyi")
        types.write_text(TYPES_HEADER.format(source=source) + types.read_text("utf-8"), encoding="utf-8")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
