"""``python -m dracore.cli``."""

from dracore.cli import main

main()
