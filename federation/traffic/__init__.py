"""Gateway drivers: each makes one kind of proxy obey `federation.contracts.gateway`."""
