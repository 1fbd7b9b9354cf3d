"""Model files (docs/design.md) from the checkpoints of other projects."""


class ExportError(Exception):
    """Says what is wrong and what to do."""
