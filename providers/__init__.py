"""The drivers, one folder each; found through the entry-point group `roam.providers`."""
