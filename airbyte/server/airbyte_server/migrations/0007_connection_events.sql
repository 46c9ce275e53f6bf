-- What happened to a connection besides its jobs, for the timeline. A trigger writes it, so that no way of changing a
-- connection (either API, a tool, the server's own look at the schema) can forget to.
CREATE TABLE connection_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection_id uuid NOT NULL REFERENCES connections,
    kind text NOT NULL CHECK (kind IN ('enabled', 'disabled', 'settings', 'streams', 'schema')),
    -- settings: {column: {"before", "after"}}; streams: {"before": […], "after": […]} without the source's schemas;
    -- schema: {"change", "diff"}; disabled: {"reason"}.
    detail jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON connection_events (connection_id, id);

CREATE FUNCTION chosen_streams(streams jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_agg(stream - 'stream'), '[]') FROM jsonb_array_elements(streams) stream
$$;

CREATE FUNCTION record_connection_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    settings text[] := ARRAY['name', 'schedule', 'namespace_definition', 'namespace_format', 'prefix', 'non_breaking_changes'];
    changed jsonb;
BEGIN
    IF OLD.status <> NEW.status THEN
        INSERT INTO connection_events (connection_id, kind, detail)
        VALUES (NEW.id, CASE NEW.status WHEN 'active' THEN 'enabled' ELSE 'disabled' END,
            jsonb_build_object('reason', NEW.status_reason));
    END IF;
    SELECT jsonb_object_agg(key, jsonb_build_object('before', was.value, 'after', now.value)) INTO changed
    FROM jsonb_each(to_jsonb(OLD)) was JOIN jsonb_each(to_jsonb(NEW)) now USING (key)
    WHERE key = ANY (settings) AND was.value <> now.value;
    IF changed IS NOT NULL THEN
        INSERT INTO connection_events (connection_id, kind, detail) VALUES (NEW.id, 'settings', changed);
    END IF;
    IF OLD.streams <> NEW.streams AND chosen_streams(OLD.streams) <> chosen_streams(NEW.streams) THEN
        INSERT INTO connection_events (connection_id, kind, detail)
        VALUES (NEW.id, 'streams', jsonb_build_object(
            'before', chosen_streams(OLD.streams), 'after', chosen_streams(NEW.streams)));
    END IF;
    -- A difference that is ignored is found again at every look.
    IF NEW.schema_diff IS NOT NULL AND OLD.schema_diff IS DISTINCT FROM NEW.schema_diff THEN
        INSERT INTO connection_events (connection_id, kind, detail)
        VALUES (NEW.id, 'schema', jsonb_build_object('change', NEW.schema_change, 'diff', NEW.schema_diff));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER record_connection_event AFTER UPDATE ON connections
    FOR EACH ROW EXECUTE FUNCTION record_connection_event();
