-- Connectors are found by a mark in their environment.
ALTER TABLE attempts DROP COLUMN processes;
