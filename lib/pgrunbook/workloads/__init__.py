"""Workloads: what the runbook is shown with, built on the library and never part of it."""
