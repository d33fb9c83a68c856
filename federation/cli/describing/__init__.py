"""What `roam describe` says of each kind, one module each."""
