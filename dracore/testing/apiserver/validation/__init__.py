"""What the API server refuses (422), by kind. Limits and wording are those of Kubernetes 1.37."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dracore.testing.apiserver.fielderrors import FieldError
from dracore.testing.apiserver.gates import Gates

Object = dict[str, Any]
Validator = Callable[[Object, Object | None, Gates], list[FieldError]]


def validator(kind: str, *, status: bool) -> Validator:
    """The checks of a kind's spec, or of its status subresource; one that accepts all for the core kinds."""
    from dracore.testing.apiserver.validation import claims, others, slices

    found: dict[tuple[str, bool], Validator] = {
        ("ResourceSlice", False): slices.validate,
        ("ResourceClaim", False): claims.validate,
        ("ResourceClaim", True): claims.validate_status,
        ("ResourceClaimTemplate", False): claims.validate_template,
        ("DeviceClass", False): others.validate_class,
        ("DeviceTaintRule", False): others.validate_taint_rule,
        ("DeviceTaintRule", True): others.validate_taint_rule_status,
    }
    return found.get((kind, status), lambda new, old, gates: [])
