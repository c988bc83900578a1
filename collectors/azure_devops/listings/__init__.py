"""One module for each noun of an organization and its projects."""
