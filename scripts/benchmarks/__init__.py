"""imgasm beside its peers: one tree, one machine, one run. Start it with ``scripts/bench``."""
