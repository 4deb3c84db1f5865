"""K06: our AES-SIV against pycryptodome's, which shares no line with nettle (GnuTLS's is nettle's): AEADs 15, 16 and
17, messages of 0 to 1,500 octets, nonces of 1 to 64 and none. random_messages.cc has every tier of this CPU seal and open
them, and stops when two disagree.

pycryptodome makes some 3,000 messages a second: 1,000 a key size here, 10^6 in `tests/run long`. The 10^7 of TESTS.md
are run in C++ against nettle (siv_test.cc, every key size) and GnuTLS (gnutls_test.cc, AEADs 15 and 17)."""

import io
import pathlib
import struct
import subprocess

import pytest
from Cryptodome.Cipher import AES
from only_long import IS_LONG

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "build" / "tests" / "nts" / "siv" / "random-messages"
HEAD = struct.Struct("<5I")
TAG_BYTES = 16
MESSAGES = 1_000_000 if IS_LONG else 1_000
PROGRESS = 100_000


def messages_of(stream):
    """(key, associated data, nonce, plaintext, sealed, received, opened, verdict) of each message."""
    while head := stream.read(HEAD.size):
        key, associated, nonce, plaintext, verdict = HEAD.unpack(head)
        lengths = (key, associated, nonce, plaintext, plaintext + TAG_BYTES, plaintext + TAG_BYTES, plaintext)
        yield (*(stream.read(length) for length in lengths), verdict)


def cipher_of(key, associated, nonce):
    cipher = AES.new(key, AES.MODE_SIV, nonce=nonce or None)
    cipher.update(associated)
    return cipher


def sealed_by_oracle(key, associated, nonce, plaintext):
    ciphertext, tag = cipher_of(key, associated, nonce).encrypt_and_digest(plaintext)
    return tag + ciphertext


def opened_by_oracle(key, associated, nonce, received):
    """The plaintext, None when it is forged."""
    try:
        return cipher_of(key, associated, nonce).decrypt_and_verify(received[TAG_BYTES:], received[:TAG_BYTES])
    except ValueError:
        return None


def differs(message):
    """What the oracle says otherwise of this message, or None."""
    key, associated, nonce, plaintext, sealed, received, opened, verdict = message
    if sealed_by_oracle(key, associated, nonce, plaintext) != sealed:
        return "sealed"
    text = opened_by_oracle(key, associated, nonce, received)
    if (text is not None) != bool(verdict):
        return "verdict"
    return None if opened == (text if verdict else bytes(len(plaintext))) else "opened"


@pytest.mark.parametrize("key_bytes", [32, 48, 64])
def test_K06_agrees_with_pycryptodome_on_messages_of_all_lengths(key_bytes):
    count, forged, without_nonce = 0, 0, 0
    with subprocess.Popen([PROGRAM, str(key_bytes), str(MESSAGES), "5297"], stdout=subprocess.PIPE) as program:
        for message in messages_of(program.stdout):
            wrong = differs(message)
            assert wrong is None, (count, wrong, [part.hex() for part in message[:-1]], message[-1])
            count += 1
            forged += not message[-1]
            without_nonce += not message[2]
            if count % PROGRESS == 0:
                print(f"{count} messages under keys of {key_bytes} octets", flush=True)
    assert program.returncode == 0
    assert count == MESSAGES
    assert count / 4 < forged < count / 2 and without_nonce > count / 20
    print(f"{count} messages, {forged} forged, {without_nonce} without a nonce, 0 differences")


def test_K06_a_difference_would_be_found():
    done = subprocess.run([PROGRAM, "32", "20", "1"], stdout=subprocess.PIPE, check=True)
    messages = list(messages_of(io.BytesIO(done.stdout)))
    assert len(messages) == 20
    good = next(message for message in messages if message[-1] and message[3])
    assert differs(good) is None
    for place, what in ((4, "sealed"), (5, "verdict"), (6, "opened")):
        wrong = bytes([good[place][0] ^ 1]) + good[place][1:]
        assert differs((*good[:place], wrong, *good[place + 1:])) == what
    assert differs((*good[:-1], 0)) == "verdict"
