"""Documents that are valid, one or more of every kind: what mutation begins with."""

from __future__ import annotations

from typing import Any, Final

import yaml

_TEXT: Final = """
apiVersion: roam.federation/v1alpha1
kind: Microservice
metadata: {name: cart, namespace: shop, labels: {app: cart, tier: web}, annotations: {note: a}}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: cart}}
    spec:
      terminationGracePeriodSeconds: 5
      initContainers: [{name: first, image: "registry.example/first:1", command: [sh, -c, "true"]}]
      containers:
        - name: main
          image: registry.example/cart:1
          command: [cart, --port, "8080"]
          env: [{name: A, value: b}, {name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}]
          ports: [{containerPort: 8080, name: http}]
          resources: {requests: {cpu: 500m, memory: 256Mi}, limits: {cpu: "1", memory: 1Gi}}
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
  objects:
    - {apiVersion: v1, kind: Secret, metadata: {name: db}, data: {password: c2VjcmV0}}
    - {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}
---
apiVersion: roam.federation/v1alpha1
kind: SubCluster
metadata: {name: onprem, labels: {tier: onprem}}
spec:
  provider: local
  connection: {images: true}
  location: {country: DE, latitude: 50.1, longitude: 8.7, operator: Acme, operatorCountry: DE}
  capacity: {cpu: "8", memory: 16Gi}
  pricing: {cpuHour: 0.02, memoryGiBHour: 0.003}
  taints: [{key: maintenance, value: "yes", effect: NoSchedule}]
  detection: {window: 10s, recovery: 5s}
  budget: {hourly: 3 USD}
---
apiVersion: roam.federation/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {driver: envoy, address: 127.0.0.1, firstPort: 20000, connection: {directory: /tmp/edge}}
---
apiVersion: roam.federation/v1alpha1
kind: PlacementPolicy
metadata: {name: rules, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}, matchExpressions: [{key: tier, operator: In, values: [web, data]}]}
  compliance: {residency: {allow: [EU, CH], deny: [US]}, operators: {deny: [US]}}
  locality: {users: [{country: DE, share: 0.7}, {country: FR, share: 0.3}], latencyWorth: 0.002}
  spread: {topology: provider, minDomains: 2}
  cost: {maxHourly: 12 USD}
  tolerations: [{key: maintenance, operator: Exists, effect: NoExecute, tolerationSeconds: 30}]
  migration: {mode: automatic, strategy: {canary: {steps: [5, 25, 100], interval: 30s, maxErrorRate: 1%}}}
---
apiVersion: roam.federation/v1alpha1
kind: ClusterPlacementPolicy
metadata: {name: all}
spec:
  precedence: 3
  compliance: {residency: {allow: [EU]}}
  rules: [{expression: "!has(subcluster.labels.tier) || service.replicas < 3", message: small ones, enforcement: warn}]
---
apiVersion: roam.federation/v1alpha1
kind: Migration
metadata: {name: cart-a, namespace: shop}
spec: {service: cart, source: onprem, target: gce, replicas: 1, strategy: {canary: {steps: [50, 100], interval: 1s}}}
---
apiVersion: roam.federation/v1alpha1
kind: Placement
metadata: {name: cart, namespace: shop}
spec: {targets: [{subcluster: onprem, replicas: 2}], pinned: onprem}
---
apiVersion: roam.federation/v1alpha1
kind: Event
metadata: {name: happened, namespace: shop}
reason: Placed
message: it runs
regarding: {kind: Microservice, namespace: shop, name: cart}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
        - name: web
          image: nginx:1.27
          envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: db, optional: true}}]
          env: [{name: CART, value: "http://cart:8080"}]
          ports: [{containerPort: 80, protocol: TCP}]
      volumes: [{name: settings, configMap: {name: settings, items: [{key: a, path: a}]}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {a: b}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "redis:7", volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
    - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
    - host: shop.example
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: once, image: "busybox:1", command: ["true"]}]}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 5}
"""

DOCUMENTS: Final[tuple[dict[str, Any], ...]] = tuple(yaml.safe_load_all(_TEXT))
"""All of them. Copy before changing."""
ROAM: Final = tuple(each for each in DOCUMENTS if each["apiVersion"].startswith("roam."))
"""Those of Roam's own kinds."""
