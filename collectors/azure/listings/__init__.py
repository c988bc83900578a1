"""One module for each noun of Azure."""
