"""
The settings of a host, from a TOML file and the environment.

Imports pydantic, so no worker imports it.
"""

from __future__ import annotations

from fengling_gateway.settings.console import ConsoleSettings
from fengling_gateway.settings.loader import SettingsError, load_console_settings, load_settings
from fengling_gateway.settings.model import DatabaseSettings, FileSettings, GatewaySettings

__all__ = [
    "ConsoleSettings",
    "DatabaseSettings",
    "FileSettings",
    "GatewaySettings",
    "SettingsError",
    "load_console_settings",
    "load_settings",
]
