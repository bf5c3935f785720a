"""CDI: what containers get for a claim, as spec files that container runtimes read."""

from dracore.cdi.files import Cdi
from dracore.cdi.render import Part, Specs

__all__ = ["Cdi", "Part", "Specs"]
