"""Protobuf's wire format, written by hand. Source: protobuf.dev, "Encoding"."""


def varint(number: int) -> bytes:
    """Return a number that is not negative, as a varint."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def length_field(number: int, content: bytes) -> bytes:
    """Return a field of bytes, of text, or of a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """Return a field of a whole number that is not negative, or of a Boolean."""
    return varint(number << 3) + varint(value)
