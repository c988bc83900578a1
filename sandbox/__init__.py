"""A make-believe company, served by loopback servers that speak the providers' APIs."""
