"""The formats of ``sprawlscan check``: a module each, with a function `text_of` that returns the result as text."""
