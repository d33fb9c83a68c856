"""Files to model: Roam's own kinds, checked strictly, and plain Kubernetes manifests, made into microservices.

`loading.load` is the way in; `schemas.Schemas` tells what plug-ins bring; `resources.validate` checks one object.
"""
