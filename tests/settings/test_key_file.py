"""The file with the keys of secrets: who may read it, and what is in it."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from fengling_gateway.settings import GatewaySettings, SettingsError, load_settings
from fengling_gateway.settings.key_file import KeyFileError, read_key_file
from fengling_gateway.tap.assembly import supervisor_settings

ENOUGH = {
    "FENGLING_SOURCE": "file",
    "FENGLING_FILE__PATH": "/routes.yaml",
    "FENGLING_MANAGEMENT__ENABLED": "false",
}
OLD, NEW = (f"{year}:{Random(year).randbytes(32).hex()}" for year in (2025, 2026))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with two keys, as it should be."""
    path = tmp_path / "secret.keys"
    path.touch(mode=0o600)
    path.write_text(f"# of secrets\n{NEW}\n\n {OLD} \n")
    return path


def load(path: Path, **environ: str) -> GatewaySettings:
    toml = path.with_name("gateway.toml")
    toml.write_text(f'[secrets]\nkey_file = "{path.name}"\n')
    return load_settings(toml, {**ENOUGH, **environ})


class ReadTests:
    def test_keys_are_read_in_order(self, file: Path) -> None:
        """The first one encrypts."""
        assert read_key_file(file) == (NEW, OLD)

    @pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o601, 0o620, 0o660])
    def test_file_that_others_may_read_is_refused(self, file: Path, mode: int) -> None:
        """Or that its group may change."""
        file.chmod(mode)
        with pytest.raises(KeyFileError, match=f"has mode {mode:04o}: nobody else may read it"):
            read_key_file(file)

    @pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
    def test_file_that_its_group_may_read_is_taken(self, file: Path, mode: int) -> None:
        """That is how containers get theirs."""
        file.chmod(mode)
        assert read_key_file(file) == (NEW, OLD)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "no key is set"),
            (b"k:hunter2", 'key "k" has'),
            (b"k:" + b"00" * 32, "is a placeholder"),
            (f"{NEW}\n{NEW}".encode(), "share an id"),
            (NEW.encode() + b"ff", "has 33 bytes, and must have 32"),
            (b"\xff\xfe", "is no text"),
            (b"#" * 70_000, "is larger than 65536 bytes"),
        ],
    )
    def test_content_that_is_no_keys_is_refused(self, file: Path, content: bytes, why: str) -> None:
        """And not repeated."""
        file.write_bytes(content)
        with pytest.raises(KeyFileError, match=why) as caught:
            read_key_file(file)
        assert "hunter2" not in str(caught.value)
        assert NEW[5:] not in str(caught.value)

    def test_pipe_is_no_file(self, tmp_path: Path) -> None:
        """Nobody waits for its writer."""
        os.mkfifo(tmp_path / "pipe", mode=0o600)
        with pytest.raises(KeyFileError, match="is not a file"):
            read_key_file(tmp_path / "pipe")
        with pytest.raises(KeyFileError, match="No such file or directory"):
            read_key_file(tmp_path / "gone")


class SettingsTests:
    def test_workers_are_told_the_keys(self, file: Path) -> None:
        """And nobody else: they are in no representation."""
        settings = load(file)
        assert settings.secrets.key_file == file
        told = supervisor_settings(settings)
        assert told.worker_configuration["secrets"] == {"keys": [NEW, OLD]}
        assert NEW[5:] not in f"{settings!r} {told!r}"

    def test_environment_names_the_file(self, file: Path, tmp_path: Path) -> None:
        """Relative to nothing, as for other variables."""
        other = tmp_path / "other.keys"
        other.write_text(OLD)
        other.chmod(0o600)
        settings = load(file, FENGLING_SECRETS__KEY_FILE=str(other))
        assert settings.secrets.keys == (OLD,)

    def test_unfit_file_is_one_of_the_problems(self, file: Path) -> None:
        """A gateway that can't open its secrets doesn't start as if it could."""
        file.chmod(0o644)
        with pytest.raises(SettingsError) as caught:
            load(file)
        assert [one.path for one in caught.value.problems] == ["secrets.key_file"]
        with pytest.raises(SettingsError) as caught:
            load(file, FENGLING_SECRETS__KEY_FILE="/gone")
        assert [one.path for one in caught.value.problems] == [
            "secrets.key_file (FENGLING_SECRETS__KEY_FILE)"
        ]

    def test_other_content_is_a_change(self, file: Path) -> None:
        """A HUP after a rotation says so."""
        before = load(file)
        assert before.changed_keys(load(file)) == []
        file.write_text(OLD)
        assert before.changed_keys(load(file)) == ["secrets.key_file"]
