"""Facts about the world, with source and date: regions, countries, jurisdictions, distances, transfer tariffs."""
