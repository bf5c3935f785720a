"""ResourceClaims, their status, and ResourceClaimTemplates.

CEL expressions are checked for length only: evaluating them is the business of the selectors, not of a server
that tests run against.
"""

from __future__ import annotations

from typing import Any

from dracore.testing.apiserver.fielderrors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from dracore.testing.apiserver.gates import Gates
from dracore.testing.apiserver.validation import devices, formats
from dracore.testing.apiserver.validation.slices import IMMUTABLE

Object = dict[str, Any]
MAX_REQUESTS = 32
MAX_CONSUMERS = 256
_REFERENCE = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)


def validate(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    if old is not None:
        same = new.get("spec", {}) == old.get("spec", {})
        return [] if same else [invalid("spec", None, IMMUTABLE)]
    return spec_errors(new.get("spec", {}), "spec", gates)


def validate_template(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    if old is not None:
        same = new.get("spec", {}) == old.get("spec", {})
        return [] if same else [invalid("spec", None, IMMUTABLE)]
    return spec_errors(new.get("spec", {}).get("spec", {}), "spec.spec", gates)


def spec_errors(spec: Object, path: str, gates: Gates) -> list[FieldError]:
    content = spec.get("devices", {})
    at = f"{path}.devices"
    names = _names(content)
    errors = formats.bounded_set(
        content.get("requests"),
        MAX_REQUESTS,
        f"{at}.requests",
        _request,
        lambda item: item.get("name", ""),
        whole=True,
    )
    errors += formats.bounded_list(
        content.get("constraints"),
        32,
        f"{at}.constraints",
        lambda item, where: _constraint(item, where, names, gates),
    )
    return errors + formats.bounded_list(
        content.get("config"), 32, f"{at}.config", lambda item, where: _config(item, where, names)
    )


def _names(content: Object) -> set[str]:
    found: set[str] = set()
    for request in content.get("requests") or ():
        name = request.get("name", "")
        found.add(name)
        found |= {f"{name}/{sub.get('name', '')}" for sub in request.get("firstAvailable") or ()}
    return found


def _request(item: Object, path: str) -> list[FieldError]:
    errors = formats.dns_label(item.get("name"), f"{path}.name")
    exactly, first = item.get("exactly"), item.get("firstAvailable")
    wanted = "exactly one of `exactly` or `firstAvailable` is required"
    if exactly is None and not first:
        errors.append(required(path, wanted))
    elif exactly is not None and first:
        errors.append(invalid(path, None, f"{wanted}, but multiple fields are set"))
    elif first:
        errors += formats.bounded_set(
            first, 8, f"{path}.firstAvailable", _subrequest, lambda sub: sub.get("name", ""), whole=True
        )
    else:
        errors += _exact(exactly, f"{path}.exactly")
    return errors


def _subrequest(item: Object, path: str) -> list[FieldError]:
    return formats.dns_label(item.get("name"), f"{path}.name") + _exact(item, path)


def _exact(item: Any, path: str) -> list[FieldError]:
    class_name = item.get("deviceClassName")
    at = f"{path}.deviceClassName"
    errors = formats.dns_subdomain(class_name, at) if class_name else [required(at)]
    errors += formats.bounded_list(item.get("selectors"), 32, f"{path}.selectors", selector)
    mode, count = item.get("allocationMode"), item.get("count", 0)
    if mode == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        errors.append(invalid(f"{path}.count", count, detail))
    elif mode == "ExactCount" and count <= 0:
        errors.append(invalid(f"{path}.count", count, "must be greater than zero"))
    elif mode not in ("All", "ExactCount"):
        errors.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    return errors + _tolerations(item, path)


def _tolerations(item: Object, path: str) -> list[FieldError]:
    """Any number of them: Kubernetes 1.37 has a ``DeviceTolerationsMaxLength`` of 16 that nothing checks
    (``validateExactDeviceRequest`` in pkg/apis/resource/validation, the generated validations of
    ``resource/v1``)."""
    return formats.bounded_list(item.get("tolerations"), None, f"{path}.tolerations", toleration)


def selector(item: Object, path: str) -> list[FieldError]:
    if item.get("cel") is None:
        return [required(f"{path}.cel")]
    expression = item["cel"].get("expression", "")
    at = f"{path}.cel.expression"
    if not expression:
        fault = "compilation failed: ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>'"
        return [invalid(at, expression, fault)]
    return [too_long(at, 10240)] if len(expression) > 10240 else []


def toleration(item: Object, path: str) -> list[FieldError]:
    errors = formats.label_key(item["key"], f"{path}.key") if item.get("key") else []
    operator = item.get("operator")
    errors += formats.one_of(operator, ("Equal", "Exists"), f"{path}.operator")
    if operator == "Exists" and item.get("value"):
        errors.append(invalid(f"{path}.value", item["value"], "must be empty for operator `Exists`"))
    if operator == "Equal":
        errors += formats.label_value(item.get("value"), f"{path}.value")
    if item.get("effect"):
        errors += formats.one_of(item["effect"], devices.EFFECTS, f"{path}.effect")
    return errors


def _constraint(item: Object, path: str, names: set[str], gates: Gates) -> list[FieldError]:
    errors = _references(item.get("requests"), f"{path}.requests", names)
    for kind in ("matchAttribute", "distinctAttribute"):
        if item.get(kind) is not None:
            return errors + formats.fully_qualified_name(item[kind], f"{path}.{kind}")
    if "DRAConsumableCapacity" not in gates:
        return [*errors, required(f"{path}.matchAttribute")]
    detail = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    return [*errors, required(path, detail)]


def _references(values: Any, path: str, names: set[str]) -> list[FieldError]:
    def check(name: str, at: str) -> list[FieldError]:
        return reference(name, at, names)

    return formats.bounded_set(values, MAX_REQUESTS, path, check, str)


def reference(name: str, path: str, names: set[str]) -> list[FieldError]:
    """A request, or a request and its subrequest, of this claim."""
    parts = name.split("/")
    if len(parts) > 2:
        return [invalid(path, name, _REFERENCE)]
    errors = [error for part in parts for error in formats.dns_label(part, path)]
    return errors if name in names else [*errors, invalid(path, name, _REFERENCE)]


def _config(item: Object, path: str, names: set[str]) -> list[FieldError]:
    return _references(item.get("requests"), f"{path}.requests", names) + opaque(item, path)


def opaque(item: Object, path: str) -> list[FieldError]:
    content = item.get("opaque")
    if content is None:
        return [required(f"{path}.opaque")]
    return formats.driver_name_caseless(content.get("driver"), f"{path}.opaque.driver") + formats.raw_object(
        content.get("parameters"), f"{path}.opaque.parameters"
    )


def validate_status(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    status, before = new.get("status", {}), (old or {}).get("status", {})
    allocation, was = status.get("allocation"), before.get("allocation")
    errors = formats.bounded_set(
        status.get("reservedFor"),
        MAX_CONSUMERS,
        "status.reservedFor",
        _consumer,
        lambda item: item.get("uid", ""),
    )
    allocated = {_share(result) for result in ((allocation or {}).get("devices") or {}).get("results") or ()}
    errors += formats.bounded_set(
        status.get("devices"),
        None,
        "status.devices",
        lambda item, path: _device_status(item, path, allocated),
        _share,
    )
    if status.get("reservedFor"):
        if allocation is None:
            detail = "may not be specified when `allocated` is not set"
            errors.append(forbidden("status.reservedFor", detail))
        elif new["metadata"].get("deletionTimestamp"):
            known = {item.get("uid") for item in before.get("reservedFor") or ()}
            if any(item.get("uid") not in known for item in status["reservedFor"]):
                detail = (
                    "new entries may not be added while `deallocationRequested` or "
                    "`deletionTimestamp` are set"
                )
                errors.append(forbidden("status.reservedFor", detail))
    if allocation is not None and was is not None:
        if allocation != was:
            errors.append(invalid("status.allocation", None, "field cannot be modified once set"))
    elif allocation is not None:
        names = _names(new.get("spec", {}).get("devices", {}))
        errors += _allocation(allocation, "status.allocation", names)
    return errors


def _share(item: Object) -> str:
    share = item.get("shareID")
    name = f"{item.get('driver', '')}/{item.get('pool', '')}/{item.get('device', '')}"
    return f"{name}/{share}" if share else name


def _consumer(item: Object, path: str) -> list[FieldError]:
    return [required(f"{path}.{name}") for name in ("resource", "name", "uid") if not item.get(name)]


def _device_status(item: Object, path: str, allocated: set[str]) -> list[FieldError]:
    errors = formats.driver_name(item.get("driver"), f"{path}.driver")
    errors += formats.pool_name(item.get("pool"), f"{path}.pool")
    errors += formats.dns_label(item.get("device"), f"{path}.device")
    if item.get("shareID") is not None:
        errors += formats.uid(item["shareID"], f"{path}.shareID")
    if _share(item) not in allocated:
        shown = {name: item.get(name[0].lower() + name[1:], "") for name in ("Driver", "Pool", "Device")}
        shown["ShareID"] = item.get("shareID", "")
        errors.append(invalid(path, shown, "must be an allocated device in the claim"))
    errors += formats.conditions(item.get("conditions"), f"{path}.conditions", 8)
    if item.get("data") is not None:
        errors += formats.raw_object(item["data"], f"{path}.data")
    network = item.get("networkData") or {}
    for name, limit in (("interfaceName", 256), ("hardwareAddress", 128)):
        if len(network.get(name, "").encode()) > limit:
            errors.append(too_long(f"{path}.networkData.{name}", limit))
    return errors + formats.bounded_set(
        network.get("ips"), 16, f"{path}.networkData.ips", formats.interface_address, str
    )


def _allocation(allocation: Object, path: str, names: set[str]) -> list[FieldError]:
    content = allocation.get("devices", {})
    results = content.get("results") or []
    at = f"{path}.devices"
    if len(results) > MAX_REQUESTS:
        return [too_many(f"{at}.results", len(results), MAX_REQUESTS)]
    errors: list[FieldError] = []
    for i, result in enumerate(results):
        where = f"{at}.results[{i}]"
        errors += reference(result.get("request", ""), f"{where}.request", names)
        errors += formats.driver_name_caseless(result.get("driver"), f"{where}.driver")
        errors += formats.pool_name(result.get("pool"), f"{where}.pool")
        errors += formats.dns_label(result.get("device"), f"{where}.device")
        errors += devices.binding(result, where)
        if result.get("shareID") is not None:
            errors += formats.uid(result["shareID"], f"{where}.shareID")
        errors += _tolerations(result, where)
    for i, item in enumerate(content.get("config") or ()):
        where = f"{at}.config[{i}]"
        errors += formats.one_of(item.get("source"), ("FromClaim", "FromClass"), f"{where}.source")
        errors += _config(item, where, names)
    if allocation.get("nodeSelector") is not None:
        errors += devices.node_selector(allocation["nodeSelector"], f"{path}.nodeSelector")
    return errors
