"""Settings from files and the environment, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import tomllib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.dataplane.settings import DataPlaneSettings
from fengling_gateway.dataplane.tls_contexts import TlsSettings
from fengling_gateway.settings import GatewaySettings, SettingsError, load_settings
from fengling_gateway.settings.cpus import available_cpus
from fengling_gateway.settings.environment import OTHERS, known_keys, variable
from fengling_gateway.settings.model import ListenerLimitSettings
from fengling_gateway.settings.sample import sample

KEY, SYNC_KEY = (f"a:{Random(seed).randbytes(32).hex()}" for seed in (1, 2))
URL = "postgresql://gateway:hunter2@db/fengling"
ENOUGH = {"FENGLING_DATABASE__URL": URL, "FENGLING_MANAGEMENT__TOKEN_KEYS": KEY}


def load(toml: str, tmp_path: Path, **environ: str) -> GatewaySettings:
    path = tmp_path / "gateway.toml"
    path.write_text(toml)
    return load_settings(path, {**ENOUGH, **environ})


def problems(toml: str, tmp_path: Path, **environ: str) -> dict[str, str]:
    """The message of each problem, by its path."""
    with pytest.raises(SettingsError) as caught:
        load(toml, tmp_path, **environ)
    assert "hunter2" not in str(caught.value)
    return {problem.path: problem.message for problem in caught.value.problems}


class LoadTests:
    def test_environment_alone_is_enough(self) -> None:
        """A container needs no settings file."""
        settings = load_settings(None, ENOUGH)
        assert settings.database.url == URL
        assert settings.management.token_keys == [KEY]
        assert settings.listeners[0].host_and_port() == ("0.0.0.0", 8000)

    def test_file_is_read(self, tmp_path: Path) -> None:
        """Durations and sizes are written as people do."""
        settings = load(
            """
            cluster = "blue"
            node = "n1"
            workers = 3
            runtime_dir = "/tmp/run"
            [database]
            poll_interval = "1m30s"
            connect_timeout = 2
            [limits]
            max_head_bytes = "16KiB"
            max_target_bytes = 4096
            [drain]
            deadline = "0s"
            [[listeners]]
            name = "http"
            address = "[::]:8000"
            """,
            tmp_path,
        )
        assert settings.database.poll_interval == 90.0
        assert settings.database.connect_timeout == 2.0
        assert settings.limits.max_head_bytes == 16384
        assert settings.limits.max_target_bytes == 4096
        assert settings.drain.deadline == 0.0
        assert settings.listeners[0].host_and_port() == ("::", 8000)
        assert settings.worker_count() == 3
        assert settings.node_runtime_dir() == Path("/tmp/run/n1")
        assert settings.node_state_dir() == Path("/var/lib/fengling/n1")

    def test_environment_goes_over_the_file(self, tmp_path: Path) -> None:
        """Every key can be set by a variable, and the rest of its section stays."""
        settings = load(
            '[database]\npoll_interval = "9s"\nlisten = true\n',
            tmp_path,
            FENGLING_DATABASE__LISTEN="false",
            FENGLING_WORKERS="7",
            FENGLING_LIMITS__MAX_HEADERS="50",
            FENGLING_DRAIN__DEADLINE="5",
            FENGLING_LIMITS__HIGH_WATER_BYTES="8KiB",
            FENGLING_LIMITS__LOW_WATER_BYTES="0",
            FENGLING_LISTENERS='[{"name": "x", "address": "127.0.0.1:80"}]',
        )
        assert settings.database.poll_interval == 9.0
        assert settings.database.listen is False
        assert settings.workers == 7
        assert settings.limits.max_headers == 50
        assert settings.limits.high_water_bytes == 8192
        assert settings.drain.deadline == 5.0
        assert settings.listeners[0].name == "x"

    def test_value_may_be_in_a_file(self, tmp_path: Path) -> None:
        """As secrets of containers are; from the environment or from the settings file."""
        first, second = (f"{name}:{secrets.token_hex(32)}" for name in "ab")
        (tmp_path / "keys").write_text(f"{first}\n{second}\n")
        (tmp_path / "url").write_text("redis://h/0\n")
        (tmp_path / "dsn").write_text("host=h dbname=d\n")
        settings = load(
            '[redis]\nurl_file = "url"\n[sync]\nkeys_file = "keys"\n',
            tmp_path,
            FENGLING_DATABASE__LISTEN_URL_FILE=str(tmp_path / "dsn"),
        )
        assert settings.redis.url == "redis://h/0"
        assert settings.sync.keys == [first, second]
        assert settings.database.listen_url == "host=h dbname=d"

    def test_keys_may_be_separated_or_json(self) -> None:
        """Two keys in one variable."""
        second = f"b:{secrets.token_hex(32)}"
        for text in (f"{KEY},{second}", f"{KEY}\n{second}\n", f'["{KEY}", "{second}"]'):
            settings = load_settings(None, {**ENOUGH, "FENGLING_MANAGEMENT__TOKEN_KEYS": text})
            assert settings.management.token_keys == [KEY, second]

    def test_secrets_are_in_no_representation(self) -> None:
        """Settings may be logged."""
        shown = repr(load_settings(None, ENOUGH))
        assert "hunter2" not in shown
        assert KEY not in shown

    @pytest.mark.parametrize("service", ["FENGLING", "FENGLING_GATEWAY", "FENGLING_CONSOLE_2"])
    def test_variables_of_kubernetes_are_ignored(self, service: str) -> None:
        """Every container gets them for a service in its namespace, whatever that is called."""
        address = f"{service}_PORT_8000_TCP"
        names = {
            *(f"{service}_SERVICE_HOST", f"{service}_SERVICE_PORT", f"{service}_PORT"),
            *(f"{service}_SERVICE_PORT_HTTP", f"{service}_SERVICE_PORT_HTTP_ALT", address),
            *(f"{address}_PROTO", f"{address}_PORT", f"{address}_ADDR"),
        }
        load_settings(None, {**ENOUGH, **dict.fromkeys(names, "tcp://1:2"), "HOME": "/"})

    def test_variables_of_our_tools_are_ignored(self) -> None:
        """A gateway may be started where fenglingctl is set up, or by a script of ours."""
        load_settings(None, {**ENOUGH, **dict.fromkeys(OTHERS, "1")})

    def test_every_variable_that_our_tools_read_is_known_as_such(self) -> None:
        """Else a gateway would refuse to start beside them."""
        top = Path(__file__).parents[2]
        tools = ["setup.py", "scripts", "fengling_gateway/cli", "fengling_gateway/quickstart"]
        read = set()
        for path in (file for tool in tools for file in (top / tool, *(top / tool).rglob("*"))):
            if path.suffix in {"", ".py", ".sh"} and path.is_file():
                read |= set(re.findall(r"\bFENGLING_[A-Z]+(?:_[A-Z]+)*\b", path.read_text()))
        settings = {variable(key) for key in known_keys()}
        assert {name for name in read if "__" not in name} - settings == OTHERS

    def test_path_of_the_file_source_is_relative_to_the_settings(self, tmp_path: Path) -> None:
        """Both usually lie side by side."""
        settings = load('source = "file"\n[file]\npath = "routes.yaml"\n', tmp_path)
        assert settings.file.path == tmp_path / "routes.yaml"

    def test_changed_keys_are_named(self, tmp_path: Path) -> None:
        """For saying what takes a restart."""
        one = load('node = "n"', tmp_path)
        other = load('node = "n"\nworkers = 2\n[limits]\nmax_headers = 20\n', tmp_path)
        assert one.changed_keys(other) == ["workers", "limits.max_headers"]
        assert one.changed_keys(one) == []

    def test_changed_keys_of_listeners_are_named(self, tmp_path: Path) -> None:
        """What is within the TLS of a listener is taken sooner than TLS itself, or an address."""

        def listener(*lines: str, name: str = "h") -> GatewaySettings:
            text = "\n".join(("[[listeners]]", f'name = "{name}"', 'address = "h:80"', *lines))
            return load(f'node = "n"\n{text}\n', tmp_path)

        plain, tls = listener(), listener("tls = {}")
        assert plain.changed_keys(tls) == ["listeners.tls"]
        assert tls.changed_keys(listener('tls = { min_version = "1.3" }')) == [
            "listeners.tls.min_version"
        ]
        assert plain.changed_keys(listener('proxy_protocol = ["10.0.0.0/8"]')) == [
            "listeners.proxy_protocol"
        ]
        assert plain.changed_keys(listener("limits = { max_headers = 50 }")) == ["listeners.limits"]
        assert plain.changed_keys(listener(name="g")) == ["listeners"]


class ProblemTests:
    def test_every_problem_is_told_at_once(self, tmp_path: Path) -> None:
        """Of the file, the environment, and both together."""
        found = problems(
            """
            clustr = "x"
            workers = "many"
            [database]
            url = "mysql://x:hunter2@h"
            poll_interval = "5 parsecs"
            listen = "perhaps"
            [limits]
            max_headers = 5
            max_head_bytes = "1 mile"
            max_target_bytes = 1
            keepalive_requests = 1.5
            [[listeners]]
            name = "h"
            adress = "x"
            [[listeners]]
            name = "h"
            address = "localhost:0"
            [log]
            level = "loud"
            [redis]
            url = "http://h"
            [nosuch]
            """,
            tmp_path,
            FENGLING_DATABASE__URL_FILE="/nowhere",
            FENGLING_SUPERVISION__HEARTBEAT_TIMEOUT="-1",
            FENGLING_DEBUG__WORKER_HEDAER="true",
            FENGLING_DRAIN__DEADLINE="[]",
            FENGLING_LISTENERS="",
        )
        assert set(found) == {
            "FENGLING_DATABASE__URL_FILE",
            "FENGLING_DEBUG__WORKER_HEDAER",
            "clustr",
            "workers",
            "database.poll_interval",
            "database.listen",
            "limits.max_headers",
            "limits.max_head_bytes",
            "limits.max_target_bytes",
            "limits.keepalive_requests",
            "listeners (FENGLING_LISTENERS)",
            "supervision.heartbeat_timeout (FENGLING_SUPERVISION__HEARTBEAT_TIMEOUT)",
            "drain.deadline (FENGLING_DRAIN__DEADLINE)",
            "log.level",
            "redis.url",
            "sync.keys",
            "nosuch",
        }
        assert found["clustr"] == 'is not a known setting; did you mean "cluster"?'
        assert found["log.level"] == ("must be 'debug', 'info', 'warn' or 'error', not \"loud\"")
        assert found["limits.max_headers"] == "must be at least 10, not 5"
        assert "FENGLING_DEBUG__WORKER_HEADER" in found["FENGLING_DEBUG__WORKER_HEDAER"]

    @pytest.mark.parametrize(
        ("given", "nearest"),
        [
            ("FENGLING_DATABSE__URL", "FENGLING_DATABASE__URL"),
            ("FENGLING_DATABASE_URL", "FENGLING_DATABASE__URL"),
            ("FENGLING_DATABSE__URL_FILE", "FENGLING_DATABASE__URL_FILE"),
            ("FENGLING_MANAGEMENT__TOKENKEYS", "FENGLING_MANAGEMENT__TOKEN_KEYS"),
            ("FENGLING_WORKRES", "FENGLING_WORKERS"),
            ("FENGLING_SERVICE_HOSTS", ""),
            ("FENGLING_DATABASE__SERVICE__PORT", "FENGLING_DATABASE__"),
        ],
    )
    def test_unknown_variable_is_told_with_the_nearest_known_one(
        self, tmp_path: Path, given: str, nearest: str
    ) -> None:
        """With all else that is wrong, and without its value."""
        found = problems("workers = 0", tmp_path, **{given: "hunter2"})
        assert set(found) == {given, "workers"}
        assert found[given].startswith(
            f"is not a known setting; the nearest one is {nearest or 'FENGLING_'}"
        )

    def test_unknown_variable_with_a_secret_for_a_name_is_not_shown(self, tmp_path: Path) -> None:
        """A list of variables is easily written with a line break too few."""
        secret = "8f14e45fceea167a5a36dedd4bea2543"
        found = problems("", tmp_path, **{f"FENGLING_{secret}": "x"})
        assert not [path for path in found if secret in path]
        assert [path for path in found if path.startswith("FENGLING_…")]

    def test_listeners_are_looked_at_one_by_one(self, tmp_path: Path) -> None:
        """Each by its place; no two have the same name or address."""
        found = problems(
            """
            [[listeners]]
            name = "a"
            adress = "x"
            [[listeners]]
            name = "a"
            address = "localhost:80"
            [[listeners]]
            name = "b"
            address = "localhost:80"
            [[listeners]]
            name = "c"
            address = "0.0.0.0:80"
            [[listeners]]
            name = "d"
            address = "127.0.0.1:81"
            [[listeners]]
            name = "e"
            address = "0.0.0.0:81"
            """,
            tmp_path,
        )
        assert found == {
            "listeners[0].address": "is required",
            "listeners[0].adress": 'is not a known setting; did you mean "address"?',
            "listeners[1].name": "is that of listeners[0]",
            "listeners[2].address": "is that of listeners[1]",
            "listeners[3].address": "overlaps that of listeners[1]",
            "listeners[5].address": "overlaps that of listeners[4]",
        }

    @pytest.mark.parametrize(
        ("toml", "path"),
        [
            ('source = "file"', "file.path"),
            ('[redis]\nurl = "redis://h"', "sync.keys"),
            ('[sync]\nkeys = ["a:changeme"]', "sync.keys"),
            ("[sync]\nkeys = 5", "sync.keys"),
            ('node = "a b"', "node"),
            ("workers = 0", "workers"),
            ("workers = 1000", "workers"),
            ("workers = true", "workers"),
            ("database = 5", "database"),
            ('runtime_dir = ""', "runtime_dir"),
            ('state_dir = "a\\u0000b"', "state_dir"),
            ('[supervision]\nheartbeat_timeout = "1s"', "supervision.heartbeat_timeout"),
            ("listeners = []", "listeners"),
            ("listeners = 5", "listeners"),
            ("listeners = [5]", "listeners[0]"),
            ('[management]\naddress = ":8001"', "management.address"),
            ("[management]\naddress = 8001", "management.address"),
            ('[redis]\nurl_file = "nowhere"', "redis.url_file"),
            ('[database]\nurl = "x"\nurl_file = "nowhere"', "database.url_file"),
            ("[limits]\nmax_head_bytes = true", "limits.max_head_bytes"),
            ("[limits]\nlow_water_bytes = '65KiB'", "limits.low_water_bytes"),
            ("[limits]\nhigh_water_bytes = 8192", "limits.low_water_bytes"),
            ('[management]\naddress = "127.0.0.1:8000"', "listeners[0].address"),
            ('[[listeners]]\nname = "a"\naddress = "127.0.0.1:8001"', "listeners[0].address"),
            ('[[listeners]]\nname = "a"\naddress = "0.0.0.0:8001"', "listeners[0].address"),
            (f'[sync]\nkeys = ["other:{KEY[2:]}"]', "management.token_keys"),
            ('[redis]\nurl = "redis://h:99999999/0"', "redis.url"),
            ('[redis]\nurl = "redis://h/notanumber"', "redis.url"),
            ('[redis]\nurl = "redis://"', "redis.url"),
            ('[redis]\nurl = "rediss://h/0?bogus=1"', "redis.url"),
            ('[redis]\nurl = "unix://host/x"', "redis.url"),
            ('[database]\nlisten_url = "postgresql://h:99999/d"', "database.listen_url"),
            ('[database]\nlisten_url = "postgresql://h/d?bogus=1"', "database.listen_url"),
            ('[database]\nlisten_url = "garbage=1"', "database.listen_url"),
            ('[database]\nlisten_url = "postgresql://h/%"', "database.listen_url"),
            ('[database]\nlisten_url = " "', "database.listen_url"),
        ],
    )
    def test_problem_is_at(self, tmp_path: Path, toml: str, path: str) -> None:
        """The path names the key."""
        assert path in {one.partition(" (")[0] for one in problems(toml, tmp_path)}

    @pytest.mark.parametrize(
        "toml",
        [
            "[limits]\nhigh_water_bytes = 8192\nlow_water_bytes = 8192",
            '[[listeners]]\nname = "a"\naddress = "[::]:8001"',
            '[[listeners]]\nname = "a"\naddress = "127.0.0.2:8001"',
            '[management]\nenabled = false\naddress = "127.0.0.1:8000"',
            f'[sync]\nkeys = ["{SYNC_KEY}"]\n[redis]\nurl = "valkey://h/1"',
            f'[sync]\nkeys = ["{SYNC_KEY}"]\n[redis]\nurl = "valkeys://u:p@h"',
        ],
    )
    def test_what_is_unusual_is_allowed(self, tmp_path: Path, toml: str) -> None:
        """A rule refuses what can't be meant, and nothing else."""
        load(toml, tmp_path)

    def test_bottomless_list_in_the_environment_is_told(self) -> None:
        """JSON may be nested deeper than any parser goes."""
        with pytest.raises(SettingsError, match="FENGLING_LISTENERS: is no JSON"):
            load_settings(None, {**ENOUGH, "FENGLING_LISTENERS": "[" * 100_000})

    def test_needed_values_are_asked_for_with_their_variables(self) -> None:
        """A first start says what to do."""
        with pytest.raises(SettingsError) as caught:
            load_settings(None, {})
        url, keys = caught.value.problems
        assert (url.path, keys.path) == ("database.url", "management.token_keys")
        assert "FENGLING_DATABASE__URL" in url.message
        assert "FENGLING_MANAGEMENT__TOKEN_KEYS" in keys.message

    def test_without_management_no_key_is_needed(self) -> None:
        """What is off needs no secret."""
        environ = {"FENGLING_DATABASE__URL": URL, "FENGLING_MANAGEMENT__ENABLED": "false"}
        assert load_settings(None, environ).management.enabled is False

    def test_value_and_file_of_one_key_contradict(self, tmp_path: Path) -> None:
        """Which of them counts would be a guess."""
        (tmp_path / "url").write_text(URL)
        found = problems("", tmp_path, FENGLING_DATABASE__URL_FILE=str(tmp_path / "url"))
        assert list(found.values()) == ["is set beside FENGLING_DATABASE__URL"]

    def test_broken_file_is_told_with_its_line(self, tmp_path: Path) -> None:
        """TOML says where."""
        (message,) = problems("a = \n", tmp_path).values()
        assert "line 1" in message

    def test_missing_file_is_told(self, tmp_path: Path) -> None:
        """With its name."""
        with pytest.raises(SettingsError, match=r"nowhere\.toml"):
            load_settings(tmp_path / "nowhere.toml", ENOUGH)

    @pytest.mark.parametrize("place", ["file", "environment"])
    def test_value_that_can_not_be_read_is_one_problem(self, tmp_path: Path, place: str) -> None:
        """With the path, however long; that the value is missing goes without saying."""
        path = "/etc/fengling/credentials/production/database/url"
        environ = {"FENGLING_MANAGEMENT__TOKEN_KEYS": KEY}
        file = tmp_path / "gateway.toml"
        file.write_text(f'[database]\nurl_file = "{path}"\n' if place == "file" else "")
        if place == "environment":
            environ["FENGLING_DATABASE__URL_FILE"] = path
        with pytest.raises(SettingsError) as caught:
            load_settings(file, environ)
        [problem] = caught.value.problems
        assert problem.message == f"can't be read from {path}: No such file or directory"

    def test_variable_of_a_list_is_named_within_it(self, tmp_path: Path) -> None:
        """Also of what no single key shows."""
        one = {"name": 1, "address": "127.0.0.1:1"}
        found = problems("", tmp_path, FENGLING_LISTENERS=json.dumps([one, one]))
        assert found["listeners[0].name (FENGLING_LISTENERS)"] == "must be an id, not 1"
        assert "listeners[1].address (FENGLING_LISTENERS)" in found

    def test_file_that_is_too_large_is_no_secret(self, tmp_path: Path) -> None:
        """The wrong file was named."""
        (tmp_path / "big").write_bytes(b"x" * 100_000)
        found = problems("", tmp_path, FENGLING_REDIS__URL_FILE=str(tmp_path / "big"))
        assert "is larger than" in found["FENGLING_REDIS__URL_FILE"]

    @given(
        st.dictionaries(
            st.sampled_from([variable(path) for path in known_keys()]),
            st.text(st.characters(exclude_characters="\0"), max_size=20),
            max_size=5,
        )
    )
    def test_any_environment_gives_settings_or_problems(self, environ: dict[str, str]) -> None:
        """Nothing else comes out."""
        try:
            load_settings(None, {**ENOUGH, **environ})
        except SettingsError as error:
            if not error.problems:
                raise

    def test_problems_within_tls_are_named(self, tmp_path: Path) -> None:
        """With their paths, and what may be meant."""
        found = problems(
            """
            [[listeners]]
            name = "h"
            address = "h:80"
            proxy_protocol = ["10.0.0.1/8", "x"]
            tls = { certificate = [], min_version = "1.1", certificates = [{ chain = "a" }] }
            [[listeners]]
            name = "g"
            address = "h:81"
            tls = { client_auth = "required" }
            """,
            tmp_path,
        )
        assert found == {
            "listeners[0].proxy_protocol[0]": 'must have no bits beyond its prefix: 10.0.0.0/8, not "10.0.0.1/8"',
            "listeners[0].proxy_protocol[1]": 'must be a network like 10.0.0.0/8, not "x"',
            "listeners[0].tls.certificate": 'is not a known setting; did you mean "certificates"?',
            "listeners[0].tls.certificates[0].key": "is required",
            "listeners[0].tls.min_version": "must be '1.2' or '1.3', not \"1.1\"",
            "listeners[1].tls": 'must have both client_ca and a client_auth but "none", or neither',
        }


class SampleTests:
    def test_sample_in_etc_is_up_to_date(self) -> None:
        """It is made by python -m fengling_gateway.settings.sample."""
        path = Path(__file__).parents[2] / "etc" / "gateway.toml"
        assert path.read_text() == sample()

    def test_sample_can_be_loaded(self, tmp_path: Path) -> None:
        """As it is, but for the secrets."""
        load(sample(), tmp_path, FENGLING_DATABASE__URL=URL)

    def test_defaults_in_the_sample_are_the_defaults(self, tmp_path: Path) -> None:
        """What is commented out can be commented in, and changes nothing."""
        lines = []
        for line in sample().splitlines():
            is_value = line.startswith("#") and not line.startswith("# ")
            no_defaults = (
                *("keys =", "url =", "path =", "node =", "key_file ="),
                *("tls = {", "proxy_protocol =", "#limits =", "#max_connections", "#max_memory"),
                *("#servers =", "#issuers =", "#allow =", "ca_file =", "#statuses ="),
                *("endpoint =", "#headers ="),
            )
            names_secret = any(word in line for word in no_defaults)
            lines.append(line[1:] if is_value and not names_secret else line)
        text = "\n".join(lines)
        assert tomllib.loads(text)["limits"]["max_headers"] == 100
        loaded = load(text, tmp_path, FENGLING_NODE="n")
        assert loaded.with_secret_files(()) == load_settings(None, {**ENOUGH, "FENGLING_NODE": "n"})

    def test_every_field_is_described(self) -> None:
        """A sample without words would not be annotated."""
        previous = ""
        for line in sample().splitlines():
            if "=" in line and not line.startswith("# "):
                assert previous.startswith("# "), line
            previous = line


class DataPlaneTests:
    def test_limits_are_those_of_the_data_plane(self) -> None:
        """Same names, same defaults."""
        own = (("0.0.0.0", 8000), ("127.0.0.1", 8001))
        assert load_settings(
            None, {**ENOUGH, "FENGLING_WORKERS": "3"}
        ).data_plane() == DataPlaneSettings(via="fengling-default", workers=3, upstream_own=own)
        names = {field.name for field in dataclasses.fields(DataPlaneSettings)}
        limits = set(type(load_settings(None, ENOUGH).limits).model_fields)
        others = {
            "access_log",
            "count_requests",
            "worker_header",
            "transports",
            "tls_transport",
            "via",
            "listeners",
            "workers",
        }
        dns = {f"dns_{name}" for name in type(load_settings(None, ENOUGH).dns).model_fields}
        dns |= {"dns_resolv_conf", "dns_hosts"}
        others |= {"tls", "proxy_protocol", "upstream_allow", "upstream_own"}
        assert limits | dns | others == names

    def test_networks_of_instances_reach_the_data_plane(self, tmp_path: Path) -> None:
        """With where this gateway listens itself: its management API only where there is one."""
        text = '[upstream]\nallow = ["127.0.0.0/8", "::1"]\n[management]\nenabled = false\n'
        plane = json.loads(json.dumps(load(text, tmp_path).data_plane().to_json()))
        assert plane["upstream_allow"] == ["127.0.0.0/8", "::1/128"]
        assert plane["upstream_own"] == [["0.0.0.0", 8000]]
        networks = DataPlaneSettings.from_json(plane).upstream_networks()
        assert networks.refusal("127.0.0.1", 80) is None
        assert "loop" in str(networks.refusal("127.0.0.1", 8000))

    def test_network_of_instances_that_is_none_is_refused(self, tmp_path: Path) -> None:
        """A name is none: it is its addresses that count."""
        with pytest.raises(SettingsError, match=r"upstream\.allow\[0\].*must be a network"):
            load('[upstream]\nallow = ["localhost"]\n', tmp_path)

    def test_dns_servers_reach_the_data_plane(self, tmp_path: Path) -> None:
        """With their ports, and fit for JSON."""
        settings = load('[dns]\nservers = ["10.0.0.53", "[fd00::53]:5353", "fd00::1"]\n', tmp_path)
        plane = json.loads(json.dumps(settings.data_plane().to_json()))
        assert plane["dns_servers"] == [["10.0.0.53", 53], ["fd00::53", 5353], ["fd00::1", 53]]

    @pytest.mark.parametrize(
        "server",
        ["dns.example", "dns.example:53", "10.0.0.53:0", "", "[10.0.0.53", "[fe80::1%eth0]:53"],
    )
    def test_dns_server_without_an_ip_address_is_refused(self, server: str, tmp_path: Path) -> None:
        """Who would resolve its name?"""
        with pytest.raises(SettingsError, match=r"dns\.servers\[0\].*must be an IP address"):
            load(f'[dns]\nservers = ["{server}"]\n', tmp_path)

    def test_authorities_of_issuers_are_a_file(self, tmp_path: Path) -> None:
        """None: the system's."""
        assert load("", tmp_path).issuers.ca_file is None
        settings = load('[issuers]\nca_file = "/etc/ca.pem"\n', tmp_path)
        assert settings.issuers.ca_file == Path("/etc/ca.pem")

    def test_dns_ttls_that_leave_no_room_are_refused(self, tmp_path: Path) -> None:
        """The least is at most the most."""
        with pytest.raises(SettingsError, match=r"dns.*must have a min_ttl"):
            load('[dns]\nmin_ttl = "10m"\n', tmp_path)

    def test_debug_and_transport_reach_the_data_plane(self, tmp_path: Path) -> None:
        """They are sections of their own for operators only."""
        settings = load("[debug]\nworker_header = true\n[transport]\nfast = false\n", tmp_path)
        assert settings.data_plane().worker_header is True
        assert settings.data_plane().transports == "stock"

    def test_tls_and_proxy_protocol_reach_the_data_plane(self, tmp_path: Path) -> None:
        """By listener, with files found from where the settings are, and fit for JSON."""
        settings = load(
            """
            [[listeners]]
            name = "plain"
            address = "0.0.0.0:8000"
            [[listeners]]
            name = "tls"
            address = "0.0.0.0:8443"
            proxy_protocol = ["10.0.0.0/8", "192.0.2.1"]
            tls = { certificates = [{ chain = "a.pem", key = "/k" }], client_ca = "ca.pem", client_auth = "optional" }
            [transport]
            tls = "stock"
            """,
            tmp_path,
        )
        plane = DataPlaneSettings.from_json(json.loads(json.dumps(settings.data_plane().to_json())))
        assert plane.tls_transport == "stock"
        assert plane.of_listener("plain").tls is None
        own = plane.of_listener("tls")
        assert own.proxy_protocol == ["10.0.0.0/8", "192.0.2.1/32"]
        assert own.tls is not None
        assert TlsSettings.from_json(own.tls) == TlsSettings(
            certificates=((f"{tmp_path}/a.pem", "/k"),),
            client_ca=f"{tmp_path}/ca.pem",
            client_auth="optional",
        )

    def test_limits_of_a_listener_reach_the_data_plane(self, tmp_path: Path) -> None:
        """What it says holds there, whatever the default is; else what [limits] says."""
        settings = load(
            """
            [[listeners]]
            name = "plain"
            address = "0.0.0.0:8000"
            [[listeners]]
            name = "slow"
            address = "0.0.0.0:8002"
            limits = { header_deadline = "1m", max_head_bytes = "64KiB", max_headers = 100 }
            [limits]
            header_deadline = "5s"
            keepalive_idle = "7s"
            max_headers = 50
            """,
            tmp_path,
        )
        plane = DataPlaneSettings.from_json(json.loads(json.dumps(settings.data_plane().to_json())))
        plain, slow = plane.of_listener("plain"), plane.of_listener("slow")
        assert (plain.header_deadline, plain.keepalive_idle, plain.max_headers) == (5.0, 7.0, 50)
        assert (slow.header_deadline, slow.keepalive_idle, slow.max_headers) == (60.0, 7.0, 100)
        assert slow.max_head_bytes == 64 * 1024
        assert [one.name for one in settings.listeners] == ["plain", "slow"]

    def test_limits_of_a_listener_are_checked(self, tmp_path: Path) -> None:
        """As those of all; what is no listener's can't be set there."""
        assert problems(
            """
            [[listeners]]
            name = "h"
            address = "h:80"
            limits = { max_headers = 1, upstream_queue = 1, header_deadlin = "1s" }
            """,
            tmp_path,
        ) == {
            "listeners[0].limits.header_deadlin": 'is not a known setting; did you mean "header_deadline"?',
            "listeners[0].limits.max_headers": "must be at least 10, not 1",
            "listeners[0].limits.upstream_queue": "is not a known setting; known: "
            + ", ".join(ListenerLimitSettings.model_fields),
        }


class CpuTests:
    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({}, None),
            ({"cpu.max": "max 100000"}, None),
            ({"cpu.max": "50000 100000"}, 1),
            ({"cpu.max": "100000 100000"}, 1),
            ({"cpu.max": "nonsense"}, None),
            ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
            ({"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "100000"}, 1),
            ({"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "0"}, None),
        ],
    )
    def test_quota_of_the_control_group_counts(
        self, tmp_path: Path, files: dict[str, str], expected: int | None
    ) -> None:
        """A container has what it is given, not what the machine has."""
        (tmp_path / "cpu").mkdir()
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        unlimited = available_cpus(tmp_path / "none")
        assert unlimited >= 1
        assert available_cpus(tmp_path) == (expected or unlimited)

    def test_auto_is_at_least_one_worker(self) -> None:
        """However small the machine."""
        assert load_settings(None, ENOUGH).worker_count() >= 1
