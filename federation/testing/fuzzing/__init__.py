"""Random requests and manifests against the API and the intake: `python -m federation.testing.fuzz`.

`documents` are valid to begin with, `mutation` spoils them, `requests` makes whole requests, `calling` carries them out
in process, `campaign` runs many and reports what must not happen.
"""
