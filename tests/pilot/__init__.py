"""Tests of the pilot, with real processes, against a stand-in for the service."""
