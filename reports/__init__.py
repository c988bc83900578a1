"""One module for each output format: `write(night, folder)`, or with its own `Config` and `write(night, folder, config)`."""
