"""What permissions of Google Cloud give."""
