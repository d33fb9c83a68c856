"""Roam: one federation of on-premises clusters, GCE, EC2 and Azure."""

__version__ = "0.1.0"
