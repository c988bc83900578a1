"""Jinja templates, CSS and JavaScript of the HTML report."""
