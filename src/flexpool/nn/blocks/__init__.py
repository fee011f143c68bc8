"""The blocks, one topic per file; each class is found by its declaration."""
