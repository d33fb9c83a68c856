"""Planning by prices: what scarce room is worth, what every choice costs at those prices, plans and bounds from it.

Capacity is relaxed: who takes of a scarce resource pays for it, and prices are moved until what is asked for at them is
about what there is (Lagrange multipliers). Calls are dealt with by messages along them. At any prices and messages the
sum of what each part costs at least bounds every plan's cost; and what each service would choose at good ones is a
plan that needs little mending.
"""
