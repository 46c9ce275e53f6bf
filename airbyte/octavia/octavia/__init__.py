"""octavia: Airbyte sources, destinations and connections as code, through Airbyte's public API."""
