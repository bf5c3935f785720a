from wrong_effects import Outside, Plugin

plugin = Plugin(Outside)
dra_driver = plugin.dra_driver
dra_effects = plugin.dra_effects
dra_discover = plugin.dra_discover
dra_prepare = plugin.dra_prepare
