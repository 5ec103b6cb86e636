"""The papers of a change: overview, diagram and way back made from the catalog, decisions checked against it."""
