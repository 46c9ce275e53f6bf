"""HTTP: the public API (``api.public``), the Config API calls that tools still use, and what both share."""
