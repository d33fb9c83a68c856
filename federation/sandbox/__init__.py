"""The embedded default: four local sub-clusters on this machine, a shop, and load on it."""
