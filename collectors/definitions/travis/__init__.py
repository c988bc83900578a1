"""Travis CI."""
