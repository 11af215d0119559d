"""What a gateway would have on this host."""

from __future__ import annotations

from pathlib import Path

import pytest

from fengling_gateway.doctor import host
from fengling_gateway.doctor.finding import Finding
from fengling_gateway.settings import load_settings
from tests.integration.gateway import TOKEN_KEY as KEY

MOUNTS = """\
22 1 0:20 / / rw,relatime shared:1 - {root} /dev/sda1 rw
30 22 0:25 / {place} rw - {kind} none rw
31 22 0:26 / /with\\040space rw shared:2 master:3 - xfs /dev/sdb rw
"""


class StateDirTests:
    """Where a host starts from when all else is down."""

    def look(self, directory: Path, kind: str, tmp_path: Path) -> Finding:
        mounts = tmp_path / "mountinfo"
        mounts.write_text(MOUNTS.format(root="ext4", place=tmp_path, kind=kind))
        return next(host.state_dir(directory, mounts))

    @pytest.mark.parametrize(
        ("kind", "state"),
        [
            ("ext4", "ok"),
            ("btrfs", "ok"),
            ("tmpfs", "wrong"),
            ("nfs4", "note"),
            ("overlay", "note"),
        ],
    )
    def test_file_system_decides(self, kind: str, state: str, tmp_path: Path) -> None:
        assert self.look(tmp_path, kind, tmp_path).state == state

    def test_directory_that_is_yet_to_be_made_is_judged_by_where(self, tmp_path: Path) -> None:
        one = self.look(tmp_path / "not" / "yet", "tmpfs", tmp_path)
        assert one.state == "wrong"
        assert not (tmp_path / "not").exists()

    def test_nothing_is_left_there(self, tmp_path: Path) -> None:
        directory = tmp_path / "state"
        directory.mkdir()
        self.look(directory, "ext4", tmp_path)
        assert list(directory.iterdir()) == []

    def test_what_can_not_be_written_to_is_found(self, tmp_path: Path) -> None:
        """(Root may write everywhere, but in proc.)"""
        one = self.look(Path("/proc/self"), "ext4", tmp_path)
        assert one.state == "wrong"
        assert "can't be written to" in one.said

    def test_full_file_system_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host, "LITTLE_ROOM_BYTES", 1 << 62)
        assert "MiB left" in self.look(tmp_path, "ext4", tmp_path).said

    def test_names_of_mounts_are_read_as_they_are_written(self, tmp_path: Path) -> None:
        mounts = tmp_path / "mountinfo"
        mounts.write_text(MOUNTS.format(root="ext4", place=tmp_path, kind="tmpfs"))
        assert host.file_system(Path("/with space/x"), mounts) == "xfs"
        assert host.file_system(Path("/elsewhere"), mounts) == "ext4"
        assert host.file_system(Path("/"), tmp_path / "none") == "unknown"


class HostTests:
    """The rest of it."""

    @pytest.mark.parametrize(("limit", "state"), [(1024, "note"), (65536, "ok"), (-1, "ok")])
    def test_few_descriptors_are_noted(self, limit: int, state: str) -> None:
        assert host.descriptors(limit).state == state

    def test_settings_that_others_may_read_are_found(self, tmp_path: Path) -> None:
        """And no longer when the cure has been pasted."""
        file = tmp_path / "gateway.toml"
        file.write_text(
            'source = "file"\n[file]\npath = "r.yaml"\n[debug]\ncore_dumps = true\n'
            f'[management]\naddress = "0.0.0.0:8001"\ntoken_keys = ["{KEY}"]\n'
        )
        for directory in (tmp_path, *tmp_path.parents):
            if directory.stat().st_uid == file.stat().st_uid and directory != Path("/"):
                directory.chmod(directory.stat().st_mode | 0o001)
        file.chmod(0o644)
        found = {one.about: one for one in host.host(load_settings(file, {}))}
        assert found["host.secrets"].state == "wrong"
        assert found["host.secrets"].cure == f"chmod 600 {file}"
        assert found["host.cores"].state == "note"
        assert "in the clear" in found["host.network"].said
        file.chmod(0o600)
        found = {one.about: one for one in host.host(load_settings(file, {}))}
        assert found["host.secrets"].state == "ok"
