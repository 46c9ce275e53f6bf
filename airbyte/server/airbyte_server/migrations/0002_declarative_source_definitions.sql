-- Low-code sources that clients added. A deleted one stays: deleted sources still refer to it.
CREATE TABLE declarative_source_definitions (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    name text NOT NULL,
    manifest jsonb NOT NULL,
    version int NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
