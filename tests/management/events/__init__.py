"""Tests of single events."""
