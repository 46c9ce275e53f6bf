CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    notifications jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);

-- A source or destination: a connector's definition with its configuration, whose secret values are encrypted.
CREATE TABLE actors (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    kind text NOT NULL CHECK (kind IN ('source', 'destination')),
    definition_id uuid NOT NULL,
    name text NOT NULL,
    configuration jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE INDEX ON actors (workspace_id, kind);

-- The last catalog discovered for a source; valid while the configuration has that hash.
CREATE TABLE discovered_catalogs (
    actor_id uuid PRIMARY KEY REFERENCES actors,
    id uuid NOT NULL,
    configuration_hash text NOT NULL,
    catalog jsonb NOT NULL,
    discovered_at timestamptz NOT NULL
);

CREATE TABLE connections (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    source_id uuid NOT NULL REFERENCES actors,
    destination_id uuid NOT NULL REFERENCES actors,
    name text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'inactive')),
    schedule jsonb NOT NULL,
    namespace_definition text NOT NULL,
    namespace_format text,
    prefix text NOT NULL,
    non_breaking_changes text NOT NULL,
    streams jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz
);

CREATE TABLE tags (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    name text NOT NULL,
    color text NOT NULL,
    UNIQUE (workspace_id, name)
);

CREATE TABLE connection_tags (
    connection_id uuid NOT NULL REFERENCES connections ON DELETE CASCADE,
    tag_id uuid NOT NULL REFERENCES tags ON DELETE CASCADE,
    PRIMARY KEY (connection_id, tag_id)
);

CREATE TABLE jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection_id uuid NOT NULL REFERENCES connections,
    config_type text NOT NULL CHECK (config_type IN ('sync', 'clear')),
    status text NOT NULL CHECK (status IN ('pending', 'running', 'incomplete', 'succeeded', 'failed', 'cancelled')),
    -- What the job replicates, fixed when its first attempt starts: streams with generations. Retries use the same.
    streams jsonb,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    updated_at timestamptz NOT NULL
);
CREATE INDEX ON jobs (connection_id, id);
-- One unfinished job per connection, whoever asks at the same moment.
CREATE UNIQUE INDEX jobs_one_unfinished ON jobs (connection_id)
    WHERE status IN ('pending', 'running', 'incomplete');

CREATE TABLE attempts (
    job_id bigint NOT NULL REFERENCES jobs,
    number int NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
    -- [{"role", "pid", "started"}]: connector processes to end when the server restarts.
    processes jsonb NOT NULL DEFAULT '[]',
    -- One entry per stream, as the Config API's streamStats; rewritten while the attempt runs.
    stream_stats jsonb NOT NULL DEFAULT '[]',
    failures jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (job_id, number)
);

-- Text, not jsonb: a connector gets back byte for byte what it sent. The shared part of a GLOBAL state and a LEGACY
-- state are rows with an empty name.
CREATE TABLE stream_states (
    connection_id uuid NOT NULL REFERENCES connections,
    kind text NOT NULL CHECK (kind IN ('stream', 'global', 'legacy')),
    namespace text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (connection_id, namespace, name)
);

CREATE TABLE stream_generations (
    connection_id uuid NOT NULL REFERENCES connections,
    namespace text NOT NULL,
    name text NOT NULL,
    generation_id bigint NOT NULL,
    PRIMARY KEY (connection_id, namespace, name)
);
