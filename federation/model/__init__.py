"""Values: the resource kinds, quantities, offers, plans. No I/O, no clock."""
