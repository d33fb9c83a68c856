"""The local provider: a sub-cluster of real processes on this machine, run by an agent."""
