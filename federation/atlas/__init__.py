"""Facts about the world, with source and date: regions, countries, jurisdictions, distances, transfer tariffs.

`lookup` turns names into places, `distance` and `transfer` relate places, `data` holds the tables.
"""
