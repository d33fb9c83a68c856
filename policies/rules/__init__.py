"""Rules: expressions in CEL that a platform team writes for what no other engine knows.

Hard rules, and they add up: a sub-cluster has to keep every one. What can't be evaluated is never permitted.

- `section`: how a policy states its rules; `engine`: what they deny and warn of
- `variables`: what expressions may read, and what each is
- `expression`: text to a checked expression; `bounds`: why each ends soon; `wording`: what is wrong with one
- `library`: the door to Google's CEL; `syntax`: its syntax trees; `columns`: one evaluation for all that look alike
"""

from policies.rules.engine import ENGINE, RulesEngine

__all__ = ["ENGINE", "RulesEngine"]
