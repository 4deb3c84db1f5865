"""AES-128-GCM-SIV by RFC 8452, written for reading: a second opinion on nts/gcm_siv, over pycryptodome's AES."""

import struct

from Cryptodome.Cipher import AES

# x^128 + x^127 + x^126 + x^121 + 1: bit i of a number is the factor of x^i (section 3).
MODULUS = 1 << 128 | 1 << 127 | 1 << 126 | 1 << 121 | 1


def _times(a, b):
    product = 0
    for bit in range(128):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(255, 127, -1):
        if product >> bit & 1:
            product ^= MODULUS << (bit - 128)
    return product


def _x_to_minus_128():
    """x^-128: dividing by x is a shift once the constant term is cleared by adding the modulus."""
    number = 1
    for _ in range(128):
        number = (number ^ MODULUS if number & 1 else number) >> 1
    return number


X_MINUS_128 = _x_to_minus_128()


def polyval(key, octets):
    key, total = _times(int.from_bytes(key, "little"), X_MINUS_128), 0
    for at in range(0, len(octets), 16):
        total = _times(total ^ int.from_bytes(octets[at:at + 16], "little"), key)
    return total.to_bytes(16, "little")


def _encrypted(key, block):
    return AES.new(key, AES.MODE_ECB).encrypt(block)


def _derived(key, nonce):
    blocks = [_encrypted(key, struct.pack("<I", number) + nonce)[:8] for number in range(4)]
    return b"".join(blocks[:2]), b"".join(blocks[2:])


def _padded(octets):
    return octets + bytes(-len(octets) % 16)


def _tag(authentication_key, encryption_key, nonce, text, associated):
    lengths = struct.pack("<QQ", 8 * len(associated), 8 * len(text))
    hashed = bytearray(polyval(authentication_key, _padded(associated) + _padded(text) + lengths))
    for i, octet in enumerate(nonce):
        hashed[i] ^= octet
    hashed[15] &= 0x7F
    return _encrypted(encryption_key, bytes(hashed))


def _key_stream(key, tag, octets):
    first = struct.unpack("<I", tag[:4])[0]
    rest = tag[4:15] + bytes([tag[15] | 0x80])
    blocks = [_encrypted(key, struct.pack("<I", (first + number) & 0xFFFFFFFF) + rest)
              for number in range(-(-octets // 16))]
    return b"".join(blocks)[:octets]


def _both(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


def seal(key, nonce, text, associated):
    """Ciphertext and tag, in this order."""
    authentication_key, encryption_key = _derived(key, nonce)
    tag = _tag(authentication_key, encryption_key, nonce, text, associated)
    return _both(text, _key_stream(encryption_key, tag, len(text))) + tag


def unseal(key, nonce, sealed, associated):
    """The text, or ValueError."""
    authentication_key, encryption_key = _derived(key, nonce)
    text, tag = sealed[:-16], sealed[-16:]
    text = _both(text, _key_stream(encryption_key, tag, len(text)))
    if _tag(authentication_key, encryption_key, nonce, text, associated) != tag:
        raise ValueError("the tag does not fit")
    return text
