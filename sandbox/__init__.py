"""A simulated company, served by loopback servers that speak the providers' APIs."""
