"""One module an output: `write(night, folder)`."""
