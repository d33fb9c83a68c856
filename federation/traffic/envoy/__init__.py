"""Envoy as the gateway, configured by files that it watches.

`config` renders (pure), `pools` groups routes (pure), `gateway` writes and observes, `admin` reads Envoy's
administration interface, `process` starts an Envoy, `plugin` is the entry point.
"""
