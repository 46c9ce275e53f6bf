-- A refresh reads streams again from the beginning: merged into the rows that are there, or in their place (truncate).
ALTER TABLE jobs DROP CONSTRAINT jobs_config_type_check;
ALTER TABLE jobs ADD CHECK (config_type IN ('sync', 'clear', 'refresh'));
ALTER TABLE jobs ADD COLUMN refresh_mode text CHECK (refresh_mode IN ('merge', 'truncate'));
ALTER TABLE jobs ADD CHECK ((config_type = 'refresh') = (refresh_mode IS NOT NULL));
-- [{"name", "namespace"}]: the streams to clear or refresh; all of them where it is null.
ALTER TABLE jobs ADD COLUMN scope jsonb;
