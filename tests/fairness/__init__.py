"""Tests of group metrics, gaps and findings."""
