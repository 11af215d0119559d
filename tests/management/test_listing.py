"""Pages: the same whether or not the order is known, and without looking at every key each time."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.management.listing import Listing, shown
from fengling_gateway.model.entity import Key, canonical

ROUTE = {"policies": {}, "service_id": None, "split": None}

IDS = st.text("abcXY-.09", min_size=1, max_size=3)


class CountedBodies(dict[Key, bytes]):
    """Counts how often somebody goes through all keys."""

    passes = 0

    def __iter__(self) -> Iterator[Key]:
        self.passes += 1
        return super().__iter__()


def bodies(*ids: str) -> CountedBodies:
    keys = [Key(kind, one) for one in ids for kind in ("route", "service")]
    return CountedBodies({key: canonical({**ROUTE, "id": key.id}) for key in keys})


def walk(listing: Listing, served: CountedBodies, content_hash: int, limit: int) -> list[str]:
    """Return the ids of all pages."""
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = listing.page(served, "route", content_hash=content_hash, after=after, limit=limit)
        assert len(page.items) <= limit
        found += [item["id"] for item in page.items]
        after = page.next
    return found


class ListingTests:
    @given(st.lists(st.sets(IDS), min_size=1, max_size=5), st.integers(1, 4))
    def test_pages_are_what_is_served_in_order(self, states: list[set[str]], limit: int) -> None:
        """Through changes, each read more than once: without order, with it, with another's."""
        listing = Listing()
        for content_hash, ids in enumerate(states):
            served = bodies(*ids)
            for _ in range(3):
                assert walk(listing, served, content_hash, limit) == sorted(ids)

    def test_only_the_first_pages_go_through_all_keys(self) -> None:
        """One pass, one sorting, and then none, however many pages there are."""
        listing, served = Listing(), bodies(*(f"r{number:04}" for number in range(1000)))
        assert len(walk(listing, served, 1, 10)) == 1000
        assert served.passes == 2

    def test_change_between_two_pages_costs_one_pass(self) -> None:
        """And what is kept is of the last configuration that was read twice."""
        listing, served = Listing(), bodies("a", "b", "c")
        for content_hash in range(10):
            listing.page(served, "route", content_hash=content_hash, after="", limit=2)
        assert served.passes == 10
        del served[Key("route", "b")]
        page = listing.page(served, "route", content_hash=11, after="", limit=2)
        assert [item["id"] for item in page.items] == ["a", "c"]


class ShownTests:
    def test_digest_of_a_key_is_not_shown(self) -> None:
        """Its first digits tell keys apart."""
        key, digest = Key("api_key", "k"), "0123456789abcdef" * 4
        body = canonical({"id": "k", "client_id": "c", "digest": digest})
        assert shown({key: body}, key) == {
            "id": "k",
            "client_id": "c",
            "fingerprint": "0123456789ab",
        }
