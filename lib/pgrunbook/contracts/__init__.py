"""Contracts: what a front end may send and will get, made from the catalog of an applied change."""
