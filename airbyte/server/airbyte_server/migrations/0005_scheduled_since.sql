-- When the connection got its schedule or was made active: runs that would have been before are not made up.
ALTER TABLE connections ADD COLUMN scheduled_since timestamptz NOT NULL DEFAULT now();
