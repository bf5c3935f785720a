"""The three older kinds of patch: JSON merge patch, JSON patch, strategic merge patch."""

from __future__ import annotations

import copy
from typing import Any

from dracore.testing.apiserver.fieldset import child
from dracore.testing.apiserver.schema import ListOf, Shape
from dracore.testing.apiserver.status import StatusError, bad_request

Object = dict[str, Any]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902; raises StatusError 400 for a malformed and 422 for one that does not fit."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    document = copy.deepcopy(target)
    for operation in operations:
        try:
            document = _operation(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            text = "the server rejected our request due to an error in our request"
            raise StatusError(422, "Invalid", text, {}) from error
    return document


def _operation(document: Any, operation: Object) -> Any:
    kind = operation["op"]
    path = _pointer(operation["path"])
    if kind in ("add", "replace", "remove", "test"):
        return _set(document, path, kind, copy.deepcopy(operation.get("value")))
    source = _pointer(operation["from"])
    value = copy.deepcopy(_get(document, source))
    if kind == "move":
        document = _set(document, source, "remove", None)
    elif kind != "copy":
        raise ValueError(f"unexpected kind: {kind}")
    return _set(document, path, "add", value)


def _pointer(text: str) -> list[str]:
    if not text:
        return []
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _set(document: Any, path: list[str], kind: str, value: Any) -> Any:
    if kind == "test":
        if _get(document, path) != value:
            raise ValueError(f"testing path /{'/'.join(path)} value failed")
        return document
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        if kind == "add":
            parent.insert(len(parent) if last == "-" else int(last), value)
        elif kind == "replace":
            parent[int(last)] = value
        else:
            del parent[int(last)]
    elif kind == "remove":
        del parent[last]
    elif kind == "replace" and last not in parent:
        raise KeyError(f"replace operation does not apply: doc is missing key: {last}")
    else:
        parent[last] = value
    return document


def strategic_patch(target: Any, patch: Any, shape: Shape) -> Any:
    """Like a merge patch, but lists with keys merge by item (``kubectl apply`` and ``kubectl edit`` send
    it)."""
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {key: value for key, value in patch.items() if key != "$patch"}
        result = dict(target) if isinstance(target, dict) else {}
        for key, value in patch.items():
            if key.startswith(("$setElementOrder/", "$retainKeys")) or key == "$patch":
                continue
            if key.startswith("$deleteFromPrimitiveList/"):
                name = key.partition("/")[2]
                result[name] = [item for item in result.get(name, ()) if item not in value]
            elif value is None:
                result.pop(key, None)
            else:
                result[key] = strategic_patch(result.get(key), value, child(shape, key))
        return result
    if isinstance(patch, list) and isinstance(shape, ListOf) and (shape.keys or shape.unique):
        return _strategic_list(target if isinstance(target, list) else [], patch, shape)
    return patch


def _strategic_list(target: list[Any], patch: list[Any], shape: ListOf) -> list[Any]:
    if shape.unique:
        return [*target, *(item for item in patch if item not in target)]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    result = list(target)
    for item in patch:
        same = [i for i, old in enumerate(result) if all(old.get(k) == item.get(k) for k in shape.keys)]
        if item.get("$patch") == "delete":
            result = [old for i, old in enumerate(result) if i not in same]
        elif same:
            result[same[0]] = strategic_patch(result[same[0]], item, shape.item)
        else:
            result.append(item)
    return result
