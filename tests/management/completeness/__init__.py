"""Tests of the completeness of days and their seals."""
