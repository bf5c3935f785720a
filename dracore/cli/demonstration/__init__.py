"""What ``dracore demo`` does: the processes, the steps, and how they are told."""
