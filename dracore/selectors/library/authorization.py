"""Checks of authorization: declared for selectors too, but there is nobody to ask.

No variable holds an authorizer, so a call never finds a value it is for. It compiles all the same on what
is ``dyn``, and fails when it runs, with its cost.
"""

from __future__ import annotations

from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.faults import Fault
from dracore.selectors.values import NO_OVERLOAD


def _nobody(*_values: Any) -> Any:
    raise Fault(NO_OVERLOAD)


AUTHORIZATION: Library = library(
    "authorization",
    (1, 27),
    {
        "path": {"authorizer_path": ("Authorizer.(string) -> PathCheck", _nobody)},
        "group": {"authorizer_group": ("Authorizer.(string) -> GroupCheck", _nobody)},
        "serviceAccount": {
            "authorizer_serviceaccount": ("Authorizer.(string, string) -> Authorizer", _nobody)
        },
        "resource": {"groupcheck_resource": ("GroupCheck.(string) -> ResourceCheck", _nobody)},
        "subresource": {"resourcecheck_subresource": ("ResourceCheck.(string) -> ResourceCheck", _nobody)},
        "namespace": {"resourcecheck_namespace": ("ResourceCheck.(string) -> ResourceCheck", _nobody)},
        "name": {"resourcecheck_name": ("ResourceCheck.(string) -> ResourceCheck", _nobody)},
        "check": {
            "pathcheck_check": ("PathCheck.(string) -> Decision", _nobody),
            "resourcecheck_check": ("ResourceCheck.(string) -> Decision", _nobody),
        },
        "errored": {"decision_errored": ("Decision.() -> bool", _nobody)},
        "error": {"decision_error": ("Decision.() -> string", _nobody)},
        "allowed": {"decision_allowed": ("Decision.() -> bool", _nobody)},
        "reason": {"decision_reason": ("Decision.() -> string", _nobody)},
    },
)
SELECTORS: Library = library(
    "authorization selectors",
    (1, 31),
    {
        "fieldSelector": {"authorizer_fieldselector": ("ResourceCheck.(string) -> ResourceCheck", _nobody)},
        "labelSelector": {"authorizer_labelselector": ("ResourceCheck.(string) -> ResourceCheck", _nobody)},
    },
)
