"""One module an output: `write(night, folder)`, or with its own `Config` and `write(night, folder, config)`."""
