"""CEL selectors over devices, as DeviceClasses and claims carry them (KEP-4381)."""

from dracore.selectors.selector import Selector, compile

__all__ = ["Selector", "compile"]
