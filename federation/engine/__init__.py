"""Effects: the engine observes, decides by the pure rooms, writes the store, then acts. One thread decides; calls to
sub-clusters and gateways run on bounded pools and come back as results."""
