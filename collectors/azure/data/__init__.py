"""Actions of Azure and what they amount to, read 2026-11-30."""
