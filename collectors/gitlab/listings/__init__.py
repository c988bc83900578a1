"""One module for each kind of thing that a GitLab group lists."""
