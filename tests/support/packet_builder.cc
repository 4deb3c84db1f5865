#include "tests/support/packet_builder.h"

#include <cstring>

#include "tests/support/nettle_kernels.h"

namespace tests {

SessionKey key_of(std::uint8_t fill) {
  SessionKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(fill + 7 * i);
  return key;
}

namespace {

// One message by nettle, whose AES-SIV the length of `key` chooses; `run` seals or opens it.
template <class Run>
nts::siv::Job run_nettle(std::span<const std::uint8_t> key, std::span<const std::uint8_t> associated_data,
                         std::span<const std::uint8_t> nonce, std::span<const std::uint8_t> plaintext,
                         std::span<const std::uint8_t> sealed, const Run& run) {
  const nts::siv::Kernels& nettle = nettle_kernels(key.size());
  nts::siv::RingKeySchedule schedule;
  nettle.expand_ring_key(key.data(), &schedule);
  nts::siv::Job job{.associated_data = associated_data.data(),
                    .nonce = nonce.data(),
                    .plaintext = const_cast<std::uint8_t*>(plaintext.data()),
                    .sealed = const_cast<std::uint8_t*>(sealed.data()),
                    .associated_data_bytes = static_cast<std::uint32_t>(associated_data.size()),
                    .nonce_bytes = static_cast<std::uint32_t>(nonce.size()),
                    .plaintext_bytes = static_cast<std::uint32_t>(plaintext.size()),
                    .authentic = 0};
  run(nettle, schedule, job);
  return job;
}

}  // namespace

Octets nettle_seal(std::span<const std::uint8_t> key, std::span<const std::uint8_t> associated_data,
                   std::span<const std::uint8_t> nonce, std::span<const std::uint8_t> plaintext) {
  Octets sealed(plaintext.size() + 16);
  run_nettle(key, associated_data, nonce, plaintext, sealed,
             [](const auto& nettle, const auto& schedule, auto& job) {
               nettle.seal_with_ring_key(&schedule, &job, 1);
             });
  return sealed;
}

bool nettle_open(std::span<const std::uint8_t> key, std::span<const std::uint8_t> associated_data,
                 std::span<const std::uint8_t> nonce, std::span<const std::uint8_t> sealed,
                 Octets& plaintext) {
  if (sealed.size() < 16) return false;
  plaintext.assign(sealed.size() - 16, 0);
  return run_nettle(key, associated_data, nonce, plaintext, sealed,
                    [](const auto& nettle, const auto& schedule, auto& job) {
                      const auto* place = &schedule;
                      nettle.open_with_ring_keys(&place, &job, 1);
                    })
             .authentic != 0;
}

Octets make_cookie(std::uint32_t key_id, std::span<const std::uint8_t> ring_key,
                   std::span<const std::uint8_t> plaintext, std::uint8_t nonce_fill) {
  Octets cookie(20, nonce_fill);
  nts::store_u32(cookie.data(), key_id);
  const Octets sealed = nettle_seal(ring_key, {}, std::span(cookie).subspan(4, 16), plaintext);
  cookie.insert(cookie.end(), sealed.begin(), sealed.end());
  return cookie;
}

SessionKey ring_key_of(std::uint32_t id) { return key_of(static_cast<std::uint8_t>(0x11 + 3 * id)); }

nts::KeyRing make_ring(const std::vector<RingEntry>& entries, std::uint64_t generation) {
  nts::KeyRing ring{};
  ring.generation = generation;
  for (const RingEntry& entry : entries) {
    nts::RingKey& key = ring.slots[entry.id % nts::ring_keys_max];
    key.id = entry.id;
    key.state = entry.state;
    if (entry.state != nts::KeyState::retired) key.key = ring_key_of(entry.id);
    if (entry.state == nts::KeyState::current) ring.current_id = entry.id;
  }
  return ring;
}

RequestBuilder::RequestBuilder(std::uint8_t version, std::uint8_t mode) : octets_(48, 0) {
  octets_[0] = static_cast<std::uint8_t>(version << 3 | mode);
  octets_[2] = 6;
  transmit(0xfeedfacecafebeef);
}

RequestBuilder& RequestBuilder::transmit(std::uint64_t units) {
  nts::store_u64(octets_.data() + 40, units);
  return *this;
}

RequestBuilder& RequestBuilder::poll(std::int8_t value) {
  octets_[2] = static_cast<std::uint8_t>(value);
  return *this;
}

RequestBuilder& RequestBuilder::field(std::uint16_t type, std::span<const std::uint8_t> body) {
  const std::size_t at = octets_.size();
  octets_.resize(at + 4);
  nts::store_u16(octets_.data() + at, type);
  nts::store_u16(octets_.data() + at + 2, static_cast<std::uint16_t>(4 + body.size()));
  return raw(body);
}

RequestBuilder& RequestBuilder::field_with_length(std::uint16_t type, std::uint16_t length,
                                                  std::size_t body_bytes) {
  const std::size_t at = octets_.size();
  field(type, Octets(body_bytes, 0xee));
  nts::store_u16(octets_.data() + at + 2, length);
  return *this;
}

RequestBuilder& RequestBuilder::unique_identifier(std::size_t body_bytes, std::uint8_t first) {
  Octets body(body_bytes);
  for (std::size_t i = 0; i < body_bytes; ++i) body[i] = static_cast<std::uint8_t>(first + i);
  return field(0x0104, body);
}

RequestBuilder& RequestBuilder::cookie(std::span<const std::uint8_t> cookie) { return field(0x0204, cookie); }

RequestBuilder& RequestBuilder::placeholders(std::size_t count, std::size_t body_bytes) {
  for (std::size_t i = 0; i < count; ++i) field(0x0304, Octets(body_bytes, 0));
  return *this;
}

RequestBuilder& RequestBuilder::authenticator(std::span<const std::uint8_t> c2s,
                                              std::span<const std::uint8_t> plaintext,
                                              std::size_t nonce_bytes, std::size_t extra) {
  const Octets nonce(nonce_bytes, 0x5a);
  const Octets sealed = nettle_seal(c2s, octets_, nonce, plaintext);
  Octets body(4);
  nts::store_u16(body.data(), static_cast<std::uint16_t>(nonce.size()));
  nts::store_u16(body.data() + 2, static_cast<std::uint16_t>(sealed.size()));
  body.insert(body.end(), nonce.begin(), nonce.end());
  body.resize(nts::padded_to_4(static_cast<std::uint32_t>(body.size())));
  body.insert(body.end(), sealed.begin(), sealed.end());
  body.resize(nts::padded_to_4(static_cast<std::uint32_t>(body.size())) + extra);
  return field(0x0404, body);
}

RequestBuilder& RequestBuilder::raw(std::span<const std::uint8_t> octets) {
  octets_.insert(octets_.end(), octets.begin(), octets.end());
  return *this;
}

Octets usual_cookie(std::uint8_t nonce_fill) {
  const SessionKey c2s = key_of(0xc2);
  const SessionKey s2c = key_of(0x52);
  Octets keys(c2s.begin(), c2s.end());
  keys.insert(keys.end(), s2c.begin(), s2c.end());
  return make_cookie(usual_key_id, ring_key_of(usual_key_id), keys, nonce_fill);
}

Octets nts_request(std::size_t placeholders) {
  return RequestBuilder()
      .unique_identifier()
      .cookie(usual_cookie())
      .placeholders(placeholders)
      .authenticator(key_of(0xc2))
      .octets();
}

Octets plain_request(std::uint8_t version, std::uint8_t mode) {
  return RequestBuilder(version, mode).octets();
}

std::vector<SeenField> fields_of(std::span<const std::uint8_t> packet, std::size_t from, bool& whole) {
  std::vector<SeenField> fields;
  std::size_t at = from;
  while (at + 4 <= packet.size()) {
    const std::size_t bytes = nts::load_u16(packet.data() + at + 2);
    if (bytes < 4 || bytes > packet.size() - at) break;
    const auto body = packet.subspan(at + 4, bytes - 4);
    fields.push_back({nts::load_u16(packet.data() + at), Octets(body.begin(), body.end())});
    at += bytes;
  }
  whole = at == packet.size();
  return fields;
}

std::vector<Octets> cookies_of_answer(std::span<const std::uint8_t> answer, std::span<const std::uint8_t> s2c,
                                      bool& authentic) {
  authentic = false;
  bool whole = false;
  const std::vector<SeenField> fields = fields_of(answer, 48, whole);
  if (!whole || fields.size() != 2 || fields[0].type != 0x0104 || fields[1].type != 0x0404) return {};
  const Octets& body = fields[1].body;
  if (body.size() < 4 + 16 + 16 || nts::load_u16(body.data()) != 16) return {};
  if (nts::load_u16(body.data() + 2) != body.size() - 20) return {};  // no padding: NTPsec takes all of it
  const std::size_t signed_bytes = answer.size() - body.size() - 4;
  Octets plaintext;
  if (!nettle_open(s2c, answer.first(signed_bytes), std::span(body).subspan(4, 16),
                   std::span(body).subspan(20), plaintext)) {
    return {};
  }
  std::vector<Octets> cookies;
  for (const SeenField& field : fields_of(plaintext, 0, whole)) {
    if (field.type != 0x0204) return {};
    cookies.push_back(field.body);
  }
  authentic = whole;
  return cookies;
}

}  // namespace tests
