"""``make bench``: the driver beside a floor, in one run, on one API server; ratios, never assertions."""
