"""What the collectors of Microsoft's systems share: how they sign in to Entra ID."""
