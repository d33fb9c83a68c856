"""The agent of a local sub-cluster: `python -m providers.local.agent --config FILE`.

`__main__` starts it; `http` is its interface; `supervisor` holds what shall run and `pods` what does; `runner` is the
process that all of it descends from, so that nothing outlives the agent.
"""
