"""Actions of Azure and their powers, read 2026-11-30."""
