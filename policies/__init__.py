"""Policy engines, one module each: what placement must respect (hard) and should respect (a price in USD per hour)."""
