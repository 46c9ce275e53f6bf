"""Starts, checks, shows and stops the embedded services of the platform: its no-Docker runtime."""
