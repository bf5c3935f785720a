"""Value types that the core and the plugins exchange: frozen, without I/O."""
