"""The specifications have upstream's keys, so that the same YAML works on a real Airbyte: names, choices, which are
required, in what order they are asked, and which are secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: By path: the order, and "required", "secret" and the choices where there are any. A choice of oneOf is in brackets.
#: From https://docs.airbyte.com/integrations/sources/postgres, version 3.8.
SOURCE = """
1 host required | 2 port required | 3 database required | 4 username required | 5 password secret
6 entra_service_principal_auth | 7 entra_tenant_id | 8 entra_client_id | 9 schemas | 10 jdbc_url_params | 8 ssl_mode
ssl_mode[disable] | ssl_mode[allow] | ssl_mode[prefer] | ssl_mode[require]
ssl_mode[verify-ca].ca_certificate required secret | ssl_mode[verify-ca].client_certificate secret
ssl_mode[verify-ca].client_key secret | ssl_mode[verify-ca].client_key_password secret
ssl_mode[verify-full].ca_certificate required secret | ssl_mode[verify-full].client_certificate secret
ssl_mode[verify-full].client_key secret | ssl_mode[verify-full].client_key_password secret
11 tunnel_method | tunnel_method[NO_TUNNEL]
1 tunnel_method[SSH_KEY_AUTH].tunnel_host required | 2 tunnel_method[SSH_KEY_AUTH].tunnel_port required
3 tunnel_method[SSH_KEY_AUTH].tunnel_user required | 4 tunnel_method[SSH_KEY_AUTH].ssh_key required secret
1 tunnel_method[SSH_PASSWORD_AUTH].tunnel_host required | 2 tunnel_method[SSH_PASSWORD_AUTH].tunnel_port required
3 tunnel_method[SSH_PASSWORD_AUTH].tunnel_user required
4 tunnel_method[SSH_PASSWORD_AUTH].tunnel_user_password required secret
12 replication_method | replication_method[Standard] | replication_method[Xmin]
1 replication_method[CDC].replication_slot required | 2 replication_method[CDC].publication required
3 replication_method[CDC].initial_waiting_seconds
4 replication_method[CDC].lsn_commit_behaviour While reading Data, After loading Data in the destination
5 replication_method[CDC].heartbeat_action_query
6 replication_method[CDC].invalid_cdc_cursor_position_behavior Fail sync, Re-sync data
7 replication_method[CDC].initial_load_timeout_hours | 8 replication_method[CDC].debezium_shutdown_timeout_seconds
9 replication_method[CDC].plugin pgoutput | 10 replication_method[CDC].queue_size
13 check_privileges | 15 checkpoint_target_interval_seconds | 16 max_db_connections
"""
#: From https://docs.airbyte.com/integrations/destinations/bigquery, version 3.1, and what older versions had.
DESTINATION = """
0 project_id required | 2 dataset_id required | 3 loading_method | loading_method[Standard]
0 loading_method[GCS Staging].credential required
0 loading_method[GCS Staging].credential[HMAC_KEY].hmac_key_access_id required secret
1 loading_method[GCS Staging].credential[HMAC_KEY].hmac_key_secret required secret
1 loading_method[GCS Staging].gcs_bucket_name required | 2 loading_method[GCS Staging].gcs_bucket_path required
3 loading_method[GCS Staging].keep_files_in_gcs-bucket Delete all tmp files from GCS, Keep all tmp files in GCS
4 credentials_json secret | 4 job_project_id | 5 cdc_deletion_mode Hard delete, Soft delete | 7 disable_type_dedupe
6 transformation_priority interactive, batch | 8 raw_data_dataset | 9 stream_configurations
10 big_query_client_buffer_size_mb
"""
#: Ours alone.
OWN = "11 api_endpoint"


def lines(schema: dict[str, Any], prefix: str = "", skip: str = "") -> Iterator[str]:
    for name, given in schema.get("properties", {}).items():
        if name == skip:
            continue
        path = f"{prefix}{name}"
        words = [str(given.get("order", "")), path]
        words += ["required"] if name in schema.get("required", ()) else []
        words += ["secret"] if given.get("airbyte_secret") else []
        words += [", ".join(given.get("enum", ()))]
        yield " ".join(filter(None, words))
        for option in given.get("oneOf", ()):
            # The property that tells the options apart, which has one value only.
            tell, value = next(
                (key, only)
                for key, value in option["properties"].items()
                if (only := value.get("const") or "".join(value.get("enum", ())[:1]))
            )
            inner = f"{path}[{value}]"
            if len(option["properties"]) == 1:
                yield inner
            yield from lines(option, f"{inner}.", tell)


def expected(table: str) -> set[str]:
    return {entry.strip() for line in table.strip().splitlines() for entry in line.split("|")}


def test_the_source_asks_what_upstreams_asks(source: Any) -> None:
    spec = source("spec").bodies("SPEC", "spec")[0]
    assert set(lines(spec["connectionSpecification"])) == expected(SOURCE)


def test_the_destination_asks_what_upstreams_asks(destination: Any) -> None:
    spec = destination("spec").bodies("SPEC", "spec")[0]
    found = set(lines(spec["connectionSpecification"]))
    (location,) = (entry for entry in found if "dataset_location" in entry)
    assert location.startswith("1 dataset_location required EU, US, africa-south1,")
    assert len(location.split(", ")) == 44
    assert found - {location} == expected(DESTINATION) | {OWN}
    assert spec["supported_destination_sync_modes"] == ["overwrite", "append", "append_dedup"]
