"""CDI: what containers get for a claim, as spec files that container runtimes read."""

from dracore.cdi.files import Cdi
from dracore.cdi.render import Part
from dracore.cdi.spec import Spec, Specs

__all__ = ["Cdi", "Part", "Spec", "Specs"]
