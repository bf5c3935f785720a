"""CEL selectors over devices, as DeviceClasses and claims carry them (KEP-4381).

:func:`compile` gives what the API server and the scheduler would answer, with the same errors.
"""

from dracore.selectors.derived import DerivedAttribute, compile_derived
from dracore.selectors.environment import Environment, Features, new, of_server, stored
from dracore.selectors.faults import CompileError, Fault, Issue, Position
from dracore.selectors.selector import Selector, compile

__all__ = [
    "CompileError",
    "DerivedAttribute",
    "Environment",
    "Fault",
    "Features",
    "Issue",
    "Position",
    "Selector",
    "compile",
    "compile_derived",
    "new",
    "of_server",
    "stored",
]
