// Client requests as octets, whole or broken on purpose, and the client's view of an answer. Sealed by
// nettle, so that packets here do not depend on the code they test.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "nts/key_ring.h"
#include "nts/wire.h"

namespace tests {

using Octets = std::vector<std::uint8_t>;
using SessionKey = std::array<std::uint8_t, 32>;

[[nodiscard]] SessionKey key_of(std::uint8_t fill);

// AES-SIV by nettle, 256, 384 or 512 by the length of `key`: tag | ciphertext.
[[nodiscard]] Octets nettle_seal(std::span<const std::uint8_t> key,
                                 std::span<const std::uint8_t> associated_data,
                                 std::span<const std::uint8_t> nonce,
                                 std::span<const std::uint8_t> plaintext);
// False when the tag is wrong.
[[nodiscard]] bool nettle_open(std::span<const std::uint8_t> key,
                               std::span<const std::uint8_t> associated_data,
                               std::span<const std::uint8_t> nonce, std::span<const std::uint8_t> sealed,
                               Octets& plaintext);

// Key id | nonce | SIV(plaintext) as the keeper makes them; any plaintext, so that forgeries are possible.
[[nodiscard]] Octets make_cookie(std::uint32_t key_id, std::span<const std::uint8_t> ring_key,
                                 std::span<const std::uint8_t> plaintext, std::uint8_t nonce_fill = 0x3c);

// A ring whose keys are {id, state}; key octets are derived from the id by ring_key_of.
struct RingEntry {
  std::uint32_t id;
  nts::KeyState state;
};
[[nodiscard]] nts::KeyRing make_ring(const std::vector<RingEntry>& entries, std::uint64_t generation = 1);
[[nodiscard]] SessionKey ring_key_of(std::uint32_t id);

// Puts a request together, piece by piece, in the order of the calls.
class RequestBuilder {
 public:
  explicit RequestBuilder(std::uint8_t version = 4, std::uint8_t mode = 3);

  RequestBuilder& transmit(std::uint64_t units);
  RequestBuilder& poll(std::int8_t value);
  // A field with this body, padded with nothing: the header's length is body + 4, right or wrong.
  RequestBuilder& field(std::uint16_t type, std::span<const std::uint8_t> body);
  RequestBuilder& field_with_length(std::uint16_t type, std::uint16_t length, std::size_t body_bytes);
  RequestBuilder& unique_identifier(std::size_t body_bytes = 32, std::uint8_t first = 0x80);
  RequestBuilder& cookie(std::span<const std::uint8_t> cookie);
  RequestBuilder& placeholders(std::size_t count, std::size_t body_bytes = 100);
  // Signs all before it. `nonce_bytes` of nonce, `extra` octets of additional padding.
  RequestBuilder& authenticator(std::span<const std::uint8_t> c2s,
                                std::span<const std::uint8_t> plaintext = {}, std::size_t nonce_bytes = 16,
                                std::size_t extra = 0);
  RequestBuilder& raw(std::span<const std::uint8_t> octets);
  [[nodiscard]] const Octets& octets() const { return octets_; }

 private:
  Octets octets_;
};

// The usual request of a client: keys C2S = key_of(0xc2), S2C = key_of(0x52), cookie under ring key 7.
inline constexpr std::uint32_t usual_key_id = 7;
[[nodiscard]] Octets usual_cookie(std::uint8_t nonce_fill = 0x3c);
[[nodiscard]] Octets nts_request(std::size_t placeholders = 0);
[[nodiscard]] Octets plain_request(std::uint8_t version = 4, std::uint8_t mode = 3);

// One extension field, for walking answers.
struct SeenField {
  std::uint16_t type;
  Octets body;
};
// Every field behind the header. Sets `whole` to false when the octets do not end exactly with the last
// field.
[[nodiscard]] std::vector<SeenField> fields_of(std::span<const std::uint8_t> packet, std::size_t from,
                                               bool& whole);

// Opens an authenticated answer as NTPsec would: UID, then an authenticator that ends the packet. Returns the
// cookies; `authentic` says whether all of it was as it must be.
[[nodiscard]] std::vector<Octets> cookies_of_answer(std::span<const std::uint8_t> answer,
                                                    std::span<const std::uint8_t> s2c, bool& authentic);

}  // namespace tests
