"""Cost: what machines, cores, memory and traffic between sub-clusters cost, and how much may be spent.

- `engine`: prices and ceilings; `covering`: the cheapest whole machines for a service's replicas
"""

from policies.cost.engine import ENGINE, CostEngine, CostSection

__all__ = ["ENGINE", "CostEngine", "CostSection"]
