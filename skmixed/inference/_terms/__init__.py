"""Tests of the terms of one model."""
