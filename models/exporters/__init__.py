"""Model files of format 1 (docs/design.md) from the checkpoints of other projects."""
