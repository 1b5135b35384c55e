"""Tests of the client, against a stand-in for the network."""
