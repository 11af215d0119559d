"""The console as a Twisted service."""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.tap.service import ProgramService, leave_no_cores

_AT_ONCE: Final = ("management.token_keys", "sync.keys", "secrets.key_file")


class ConsoleService(ProgramService):
    """The console."""

    name = "fengling-console"
    process = "console"

    def assemble(self) -> Any:
        from fengling_gateway.tap.console_assembly import assemble

        leave_no_cores()
        return assemble(self._reactor, self._settings)

    def _reload(self) -> None:
        """HUP: read settings, and what secrets refer to, again; nothing is closed."""
        super()._reload()
        # Also where no setting has changed: what a secret refers to may have.
        self._parts.settings_changed(self._settings)

    def when_taken(self, changed: list[str]) -> str:
        later = [key for key in changed if key not in _AT_ONCE]
        if not later:
            return "it is in use at once"
        return f"only a restart takes {', '.join(later)}"
