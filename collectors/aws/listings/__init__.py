"""One module for each kind of thing that an AWS account lists."""
