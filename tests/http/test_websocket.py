"""Where frames end, for every way in which their bytes may arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.http.websocket import FrameBorders, close_frame

sizes = st.one_of(st.integers(0, 130), st.sampled_from([125, 126, 65_535, 65_536]))
frames = st.lists(st.tuples(sizes, st.booleans(), st.sampled_from([0, 1, 2, 9, 10])), max_size=6)


def frame(size: int, masked: bool, opcode: int) -> bytes:
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((0x80 | opcode, mask | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, mask | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, mask | 127)) + size.to_bytes(8)
    return head + (b"mask" if masked else b"") + bytes(size)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(at % (len(data) + 1) for at in cuts)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(frames, st.lists(st.integers(0, 200_000), max_size=8))
def test_borders_are_found_however_bytes_arrive(shapes: list, cuts: list[int]) -> None:  # type: ignore[type-arg]
    """After each piece it is known whether a frame has just ended."""
    whole = [frame(*shape) for shape in shapes]
    ends, at = {0}, 0
    for one in whole:
        at += len(one)
        ends.add(at)
    borders, fed = FrameBorders(), 0
    for piece in cut(b"".join(whole), cuts):
        borders.feed(piece)
        fed += len(piece)
        assert borders.is_between == (fed in ends)
    assert not borders.has_closed


@given(frames.filter(bool), st.lists(st.integers(0, 200_000), max_size=8), st.integers(0, 200_000))
def test_frame_under_way_is_followed_to_its_end(
    shapes: list,  # type: ignore[type-arg]
    cuts: list[int],
    asked: int,
) -> None:
    """From wherever somebody wants to end it, the first border is the answer."""
    data = b"".join(frame(*shape) for shape in shapes)
    ends, at = [0], 0
    for shape in shapes:
        at += len(frame(*shape))
        ends.append(at)
    start = asked % (len(data) + 1)
    borders = FrameBorders()
    borders.feed(data[:start])
    fed = start
    for piece in cut(data[start:], cuts):
        end = borders.end_of_frame(piece)
        if end >= 0:
            assert fed + end == min(one for one in ends if one >= start)
            return
        fed += len(piece)
    raise AssertionError("the last frame has an end")


def test_close_frame_is_seen_and_made() -> None:
    """Unmasked for a client, masked for a server; what we make, we recognise."""
    assert close_frame(1001) == b"\x88\x02\x03\xe9"
    assert close_frame(1001, b"\x01\x02\x03\x04") == b"\x88\x82\x01\x02\x03\x04\x02\xeb"
    for sent in (close_frame(1001), close_frame(1001, b"mask")):
        borders = FrameBorders()
        borders.feed(sent)
        assert borders.has_closed
        assert borders.is_between
