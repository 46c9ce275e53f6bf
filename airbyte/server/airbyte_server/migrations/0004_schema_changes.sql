-- [[namespace, name]]: every stream of the source when the connection's streams were last chosen or followed it. Null for
-- connections from before: they take what the source has at the next look for the known ones.
ALTER TABLE connections ADD COLUMN known_streams jsonb;
ALTER TABLE connections ADD COLUMN schema_change text NOT NULL DEFAULT 'no_change'
    CHECK (schema_change IN ('no_change', 'non_breaking', 'breaking'));
-- The last difference found (the Config API's StreamTransforms), also after it was applied, and when.
ALTER TABLE connections ADD COLUMN schema_diff jsonb;
ALTER TABLE connections ADD COLUMN schema_diff_at timestamptz;
-- Why the server made the connection inactive; null when a person did.
ALTER TABLE connections ADD COLUMN status_reason text;
