"""Shell scripts in pipeline steps of any system."""
