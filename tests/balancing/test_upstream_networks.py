"""Which addresses of instances are connected to, in whatever way they are written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.balancing.upstream_networks import (
    LOOPBACK,
    METADATA,
    Address,
    UpstreamNetworks,
    is_address,
    stands_for,
)
from fengling_gateway.model.names import canonical_host

NOTHING = UpstreamNetworks()

SPECIAL = [
    *("127.0.0.1", "127.255.255.255", "0.0.0.0", "0.0.0.7", "169.254.0.1", "169.254.169.254"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "100.100.100.200"),
]
four = st.one_of(
    st.ip_addresses(v=4),
    st.sampled_from([IPv4Address(one) for one in SPECIAL]),
    st.ip_addresses(v=4, network="127.0.0.0/8"),
    st.ip_addresses(v=4, network="169.254.0.0/16"),
)
six = st.one_of(
    st.ip_addresses(v=6),
    *(st.ip_addresses(v=6, network=one) for one in ("::/96", "::ffff:0:0/96", "fe80::/10")),
    *(st.ip_addresses(v=6, network=one) for one in ("ff00::/8", "2002::/16", "64:ff9b:1::/48")),
    st.sampled_from([IPv6Address(one) for one in ("::", "::1", "fd00:ec2::254", "fe80::1")]),
)


def by_flags(address: Address) -> bool:
    """Whether one is refused, by what Python knows of addresses."""
    return (
        address in METADATA
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.version == 4 and (address.is_reserved or address in ip_network("0.0.0.0/8")))
    )


def ways_of_writing(one: IPv4Address) -> dict[str, IPv6Address]:
    """IPv6 addresses that lead to one of IPv4, somewhere."""
    number = int(one)
    prefix = 0x0064FF9B << 96
    local = prefix | 1 << 80
    return {
        "IPv4-mapped": IPv6Address(f"::ffff:{one}"),
        "IPv4-compatible": IPv6Address(f"::{one}"),
        "IPv4-translated": IPv6Address(f"::ffff:0:{one}"),
        "6to4": IPv6Address(0x2002 << 112 | number << 80 | 0xABCD),
        "Teredo server": IPv6Address(0x20010000 << 96 | number << 64 | 0xFFFF_0808_0808),
        "Teredo client": IPv6Address(0x20010000 << 96 | 0x0A000001 << 64 | (number ^ 0xFFFFFFFF)),
        "NAT64": IPv6Address(prefix | number),
        "NAT64 /48": IPv6Address(local | (number >> 16) << 64 | (number & 0xFFFF) << 40),
        "NAT64 /56": IPv6Address(
            local | 0xAA << 72 | (number >> 24) << 64 | (number & 0xFFFFFF) << 32
        ),
        "NAT64 /64": IPv6Address(local | 0xAABB << 64 | number << 24),
        "NAT64 /96": IPv6Address(local | 0xAABB << 64 | number),
        "ISATAP": IPv6Address(0x2620_0000_0000_0001 << 64 | 0x0000_5EFE << 32 | number),
        "global ISATAP": IPv6Address(0x2620_0000_0000_0001 << 64 | 0x0200_5EFE << 32 | number),
    }


WAYS = sorted(ways_of_writing(IPv4Address(0)))


class KindTests:
    @pytest.mark.parametrize(
        ("address", "what"),
        [
            ("127.0.0.1", "127.0.0.1 is loopback"),
            ("127.9.9.9", "127.9.9.9 is loopback"),
            ("::1", "::1 is loopback"),
            ("[::1]", "::1 is loopback"),
            ("0.0.0.0", "0.0.0.0 is this host"),
            ("::", ":: is this host"),
            ("169.254.1.1", "169.254.1.1 is link-local"),
            ("fe80::1%eth0", "fe80::1 is link-local"),
            ("169.254.169.254", "169.254.169.254 is a cloud's metadata (link-local)"),
            ("fd00:ec2::254", "fd00:ec2::254 is a cloud's metadata"),
            ("100.100.100.200", "100.100.100.200 is a cloud's metadata"),
            ("224.0.0.1", "224.0.0.1 is multicast"),
            ("ff02::1", "ff02::1 is multicast"),
            ("255.255.255.255", "255.255.255.255 is reserved"),
            ("::ffff:127.0.0.1", "stands for 127.0.0.1 (IPv4-mapped), which is loopback"),
            ("::ffff:a9fe:a9fe", "stands for 169.254.169.254 (IPv4-mapped), which is a cloud's"),
            ("localhost", "localhost is this host"),
            ("LOCALHOST.", "LOCALHOST. is this host"),
            ("db.localhost", "db.localhost is this host"),
        ],
    )
    def test_refused_address_is_told_with_its_reason(self, address: str, what: str) -> None:
        """And with where somebody may say otherwise."""
        said = str(NOTHING.refusal(address, 80))
        assert what in said
        assert "[upstream] allow does not name it" in said

    @pytest.mark.parametrize(
        "address",
        [
            *("10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "100.100.100.201"),
            *("fd00::5", "2001:db8::1", "2606:4700::1111", "::ffff:10.0.0.5", "64:ff9b::a00:5"),
            *(
                "2002:a00:5::1",
                "64:ff9b:1::a00:5",
                "orders",
                "orders.shop.svc",
                "localhost.example",
            ),
            *("mylocalhost", "1e100.net", "0x.example"),
        ],
    )
    def test_other_addresses_and_names_are_not(self, address: str) -> None:
        """Private networks are where instances are; names are judged by what they turn out to be."""
        assert NOTHING.refusal(address, 80) is None

    @pytest.mark.parametrize(
        "spelling",
        [
            *("0x7f.1", "0x7f000001", "0x7F000001", "2130706433", "127.1", "127.0.1", "0177.0.0.1"),
            *("017700000001", "127.0.0.01", "0x7f.0x0.0x0.0x1", "127.0.0.0x1", "256.0.0.1"),
            *("1.2.3.4.5", "0", "127.0.0.1:80", "::1::", "127.1.", "::ffff:127.1", "X::1"),
        ],
    )
    def test_address_in_an_odd_spelling_is_none(self, spelling: str) -> None:
        """What one reader takes for a name, and another for an address. No configuration has it."""
        assert canonical_host(spelling) is None
        assert NOTHING.refusal(spelling, 80) == (
            f"{spelling} is no address that everybody reads alike"
        )
        assert not is_address(spelling)

    @given(st.one_of(four, six))
    def test_refused_is_what_is_known_to_be_special(self, address: Address) -> None:
        """Of an address that stands for others: if any of them is."""
        others = [one for _, one in stands_for(address)]
        wanted = by_flags(address) or any(map(by_flags, others))
        assert (NOTHING.refusal(str(address), 80) is not None) is wanted

    @given(four, st.sampled_from(WAYS))
    def test_no_way_of_writing_an_address_gets_around(self, one: IPv4Address, way: str) -> None:
        """Whoever takes it apart again reaches what is refused."""
        if way.startswith("NAT64 /") and one in ip_network("0.0.0.0/8"):
            return  # which nothing is translated to; it is what the other lengths leave empty
        written = ways_of_writing(one)[way]
        assert one in [inner for _, inner in stands_for(written)]
        if by_flags(one):
            assert NOTHING.refusal(str(written), 80) is not None

    @pytest.mark.parametrize("way", ["NAT64 /48", "NAT64 /56"])
    def test_octet_that_translators_skip_hides_nothing(self, way: str) -> None:
        """It ought to be 0 (RFC 6052, section 2.2); whatever it is, it is skipped."""
        one = IPv4Address("127.0.0.1")
        written = IPv6Address(int(ways_of_writing(one)[way]) | 0xFF << 56)
        assert one in [inner for _, inner in stands_for(written)]

    @pytest.mark.parametrize("way", WAYS)
    def test_refusal_says_how_the_address_is_written(self, way: str) -> None:
        """As the systems are called that take it apart."""
        written = ways_of_writing(IPv4Address("127.0.0.1"))[way]
        form = way.removeprefix("global ").partition(" ")[0]
        said = (
            f"stands for 127.0.0.1 ({form}), which is loopback: [upstream] allow does not name it"
        )
        assert str(UpstreamNetworks().refusal(str(written), 80)).endswith(said)

    def test_refusal_says_what_to_write(self) -> None:
        """Of a cloud's metadata, that a network around it is not enough."""
        assert UpstreamNetworks().refusal("127.0.0.1", 80) == (
            "127.0.0.1 is loopback: [upstream] allow does not name it"
        )
        assert UpstreamNetworks().refusal("fd00:ec2::254", 80) == (
            "fd00:ec2::254 is a cloud's metadata: [upstream] allow does not name it by itself"
        )
        assert str(UpstreamNetworks().refusal("::ffff:a9fe:a9fe", 80)).endswith(
            "does not name it by itself"
        )

    @given(four)
    def test_text_and_bytes_of_an_address_are_judged_alike(self, one: IPv4Address) -> None:
        """The usual addresses are told by their text alone, for there may be 100,000."""
        assert (NOTHING.refusal(str(one), 80) is None) is (
            NOTHING.refusal(f"::ffff:{one}", 80) is None
        )


class AllowTests:
    def test_networks_that_are_allowed_are_connected_to(self) -> None:
        """In each way of writing it, and nothing else."""
        networks = UpstreamNetworks(["127.0.0.0/8"])
        for address in ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "localhost"):
            assert networks.refusal(address, 80) is None, address
        for address in ("::1", "0.0.0.0", "169.254.1.1", "::ffff:0.0.0.0"):
            assert networks.refusal(address, 80) is not None, address

    def test_part_of_a_network_is_no_more_than_that(self) -> None:
        """As an operator has written it."""
        networks = UpstreamNetworks(["127.0.0.2/32"])
        assert networks.refusal("127.0.0.2", 80) is None
        assert networks.refusal("127.0.0.1", 80) is not None

    def test_localhost_is_as_good_as_one_of_its_addresses(self) -> None:
        """Which of them it turns out to be is judged when it is resolved; refused are both."""
        assert UpstreamNetworks(["::1/128"]).refusal("localhost", 80) is None
        assert UpstreamNetworks(["127.0.0.1/32"]).refusal("localhost", 80) is None
        assert "localhost is this host: 127.0.0.1 is loopback" in str(
            NOTHING.refusal("localhost", 80)
        )

    def test_two_addresses_are_a_network(self) -> None:
        """Of which one is where credentials are: nobody has meant it."""
        assert UpstreamNetworks(["169.254.169.254/31"]).refusal("169.254.169.254", 80) is not None

    def test_networks_tell_what_they_allow(self) -> None:
        """In a log."""
        assert repr(UpstreamNetworks(["10.0.0.0/8"])) == "<UpstreamNetworks allow=['10.0.0.0/8']>"

    @given(st.sampled_from(sorted(METADATA, key=str)), st.data())
    def test_metadata_is_allowed_by_itself_only(self, one: Address, data: st.DataObject) -> None:
        """Whoever allows link-local, or everything, has not thought of credentials."""
        everything = UpstreamNetworks(["0.0.0.0/0", "::/0"])
        assert "does not name it by itself" in str(everything.refusal(str(one), 80))
        assert UpstreamNetworks([str(one)]).refusal(str(one), 80) is None
        if isinstance(one, IPv4Address):
            written = data.draw(st.sampled_from(sorted(ways_of_writing(one).values())))
            assert everything.refusal(str(written), 80) is not None
            assert UpstreamNetworks([f"{one}/32", "::/0"]).refusal(str(written), 80) is None

    @given(st.one_of(four, six))
    def test_everything_else_can_be_allowed(self, address: Address) -> None:
        """It is the operator's host."""
        inner = {address, *(one for _, one in stands_for(address))}
        if not inner & METADATA:
            assert UpstreamNetworks(["0.0.0.0/0", "::/0"]).refusal(str(address), 80) is None


class LoopTests:
    @pytest.mark.parametrize(
        ("listens", "address", "is_loop"),
        [
            ("0.0.0.0", "127.0.0.1", True),
            ("0.0.0.0", "127.0.0.9", True),
            ("0.0.0.0", "10.0.0.5", True),  # which is here, see below
            ("0.0.0.0", "10.0.0.6", False),
            ("0.0.0.0", "0.0.0.0", True),
            ("::", "::1", True),
            ("::", "127.0.0.1", True),
            ("::", "::ffff:127.0.0.1", True),
            ("localhost", "127.0.0.1", True),
            ("127.0.0.1", "127.0.0.1", True),
            ("127.0.0.1", "::ffff:127.0.0.1", True),
            ("127.0.0.1", "0.0.0.0", True),
            ("127.0.0.1", "127.0.0.2", False),
            ("127.0.0.1", "10.0.0.5", False),
            ("10.0.0.5", "10.0.0.5", True),
            ("10.0.0.5", "127.0.0.1", False),
            ("10.0.0.9", "10.0.0.9", True),
            ("::1", "::", True),
            ("::1", "0.0.0.0", False),
            ("127.0.0.1", "::", False),
        ],
    )
    def test_own_listener_is_a_loop(self, listens: str, address: str, is_loop: bool) -> None:
        """Whatever is allowed; on another port something else listens."""
        networks = UpstreamNetworks(
            ["0.0.0.0/0", "::/0"], [(listens, 8000)], lambda one: one == "10.0.0.5"
        )
        assert ("this gateway itself" in str(networks.refusal(address, 8000))) is is_loop
        assert networks.refusal(address, 8001) is None

    def test_name_of_this_host_is_a_loop(self) -> None:
        """With the port that is listened on."""
        networks = UpstreamNetworks(LOOPBACK, [("0.0.0.0", 8000), ("::", 8000)])
        assert "this gateway itself" in str(networks.refusal("localhost", 8000))
        assert networks.refusal("localhost", 80) is None

    def test_address_is_somebody_elses_unless_it_is_known_to_be_here(self) -> None:
        """Without a word on it, only what is loopback by definition is this host."""
        networks = UpstreamNetworks(LOOPBACK, [("0.0.0.0", 8000)])
        assert networks.refusal("10.0.0.5", 8000) is None
        assert networks.refusal("127.0.0.1", 8000) is not None

    @given(st.one_of(four, six), st.integers(1, 65535))
    def test_judgement_is_the_same_each_time(self, address: Address, port: int) -> None:
        """Also where it is remembered."""
        networks = UpstreamNetworks(LOOPBACK, [("0.0.0.0", 8000)])
        assert networks.refusal(str(address), port) == networks.refusal(str(address), port)
        assert ip_address(str(address)) == address
