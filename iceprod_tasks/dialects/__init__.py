"""Dialects: languages of other services that their clients may speak with ours, a folder each."""
