"""One module for each kind of object that is listed."""
