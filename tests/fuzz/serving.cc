#include "tests/fuzz/serving.h"

#include <algorithm>
#include <random>

#include "nts/mono_root.h"
#include "nts/server.h"
#include "nts/wire.h"
#include "tests/nts/aead_session.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

using nts::Verdict;

constexpr nts::NtpTime received{0xe000000012345678};
constexpr nts::NtpTime transmitted{0xe000000022345678};
constexpr nts::MonoRoot mono_root{1, 2, {0xe000000033333333}, 0x12345678};

class CountingRandom : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> octets) noexcept override {
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_{99};
};

struct Core {
  Core() : keys(*nts::siv::choose_tier()), server(nts::all_kernels_beside(*nts::siv::choose_tier()), random) {
    using nts::KeyState;
    keys.load(tests::make_ring({{retired_key_id, KeyState::retired},
                                {6, KeyState::accepting},
                                {7, KeyState::current},
                                {8, KeyState::accepting}}));
    clock.leap = 0;
    clock.stratum = 1;
  }
  CountingRandom random;
  nts::ExpandedKeyRing keys;
  nts::Server server;
  nts::ClockReading clock;
};

std::span<const std::uint8_t> part(const Octets& octets, std::size_t offset, std::size_t bytes) {
  return std::span(octets).subspan(offset, bytes);
}

// The session whose keys (C2S | S2C) stand in a cookie of `cookie_bytes` octets.
tests::AeadSession session_of(std::uint32_t cookie_bytes, const Octets& keys) {
  tests::AeadSession session(nts::aead_of_cookie(cookie_bytes));
  const auto half = static_cast<std::ptrdiff_t>(session.aead_of().key_bytes);
  session.c2s.assign(keys.begin(), keys.begin() + half);
  session.s2c.assign(keys.begin() + half, keys.end());
  return session;
}

// What the oracles say of a well-formed NTS request.
Verdict expected_verdict(const Octets& packet, const nts::Request& asked, Octets& session) {
  const auto cookie = part(packet, asked.cookie_offset, asked.cookie_bytes);
  if (nts::aead_of_cookie(asked.cookie_bytes) == nts::AeadRow::none) return Verdict::nak_cookie;
  const std::uint32_t id = nts::load_u32(cookie.data());
  if (id == retired_key_id) return Verdict::nak_key_retired;
  if (id < 6 || id > 8) return Verdict::nak_key_unknown;
  const std::optional<Octets> keys = open_cookie(cookie);
  if (!keys) return Verdict::nak_cookie;
  session = *keys;
  const auto octets_at = [&](std::size_t offset, std::size_t bytes) {
    const auto octets = part(packet, offset, bytes);
    return Octets(octets.begin(), octets.end());
  };
  const tests::AeadSession client = session_of(asked.cookie_bytes, session);
  Octets plaintext;
  const bool is_authentic = client.open(client.c2s, part(packet, 0, asked.authenticator_offset),
                                        octets_at(asked.nonce_offset, asked.nonce_bytes),
                                        octets_at(asked.sealed_offset, asked.sealed_bytes), plaintext);
  return is_authentic ? Verdict::answer_nts : Verdict::nak_authenticator;
}

void require_header(const Octets& packet, const Octets& answer, bool is_nak) {
  require((answer[0] & 7) == nts::mode_server, "an answer has mode 4");
  require((answer[0] >> 3 & 7) == (packet[0] >> 3 & 7), "an answer has the request's version");
  require(std::equal(answer.begin() + 24, answer.begin() + 32, packet.begin() + 40), "origin is echoed");
  require(nts::load_u64(answer.data() + 32) == received.units, "T2 is when the request came");
  if (!is_nak) {
    require(nts::load_u64(answer.data() + 40) == transmitted.units, "T3 is when the answer leaves");
    return;
  }
  require(answer[0] >> 6 == 3 && answer[1] == 0 && nts::load_u32(answer.data() + 12) == nts::kiss_ntsn,
          "a kiss says NTSN and no time");
}

// Header and identifier; what stands behind them begins at the result.
std::size_t require_echo(const Octets& packet, const nts::Request& asked, const Octets& answer) {
  const std::size_t end = std::size_t{48} + asked.unique_identifier_bytes;
  require(answer.size() >= end, "header and identifier");
  require(std::equal(answer.begin() + 48, answer.begin() + static_cast<std::ptrdiff_t>(end),
                     packet.begin() + asked.unique_identifier_offset),
          "the identifier is echoed octet for octet");
  return end;
}

// And nothing else, but for who asked for the field of mono_root.h.
void require_echo_only(const Octets& packet, const nts::Request& asked, const Octets& answer,
                       bool tells_mono_root) {
  const std::size_t end = require_echo(packet, asked, answer);
  Octets rest(answer.begin() + static_cast<std::ptrdiff_t>(end), answer.end());
  Octets expected(tells_mono_root ? nts::mono_root_field_bytes : 0);
  if (tells_mono_root) nts::write_mono_root(expected.data(), mono_root);
  require(rest == expected, "identifier, what was asked for, and no more");
}

void require_authentic(const Octets& packet, const nts::Request& asked, const Octets& session,
                       const Octets& answer) {
  bool is_authentic = false;
  const std::size_t end = require_echo(packet, asked, answer);
  if (asked.asks_mono_root) {
    Octets expected(nts::mono_root_field_bytes);
    nts::write_mono_root(expected.data(), mono_root);
    require(
        answer.size() > end + expected.size() &&
            std::equal(expected.begin(), expected.end(), answer.begin() + static_cast<std::ptrdiff_t>(end)),
        "who asks for the field of mono_root.h gets it behind the identifier");
  }
  const std::vector<Octets> cookies =
      session_of(asked.cookie_bytes, session).cookies_of(answer, is_authentic, asked.asks_mono_root);
  require(is_authentic, "an answer verifies under S2C");
  require(
      !cookies.empty() && cookies.size() <= asked.cookies_wanted && asked.cookies_wanted <= nts::cookies_max,
      "at least one cookie, at most those asked for");
  for (const Octets& cookie : cookies) {
    require(nts::load_u32(cookie.data()) == tests::usual_key_id, "cookies are sealed by the current key");
    require(open_cookie(cookie) == session, "a fresh cookie holds the session's keys");
    require(std::count(cookies.begin(), cookies.end(), cookie) == 1, "no two cookies are alike");
  }
}

}  // namespace

std::optional<Octets> open_cookie(std::span<const std::uint8_t> cookie) {
  if (nts::aead_of_cookie(static_cast<std::uint32_t>(cookie.size())) == nts::AeadRow::none)
    return std::nullopt;
  const std::uint32_t id = nts::load_u32(cookie.data());
  Octets keys;
  if (id < 6 || id > 8) return std::nullopt;
  if (!tests::nettle_open(tests::ring_key_of(id), {}, cookie.subspan(4, 16), cookie.subspan(20), keys)) {
    return std::nullopt;
  }
  return keys;
}

void seal_request(Octets& packet, const tests::AeadSession& session) {
  const nts::Request found = nts::read_request(packet);
  if (found.authenticator_offset == 0) return;
  const std::size_t text_offset = found.sealed_offset + (session.aead_of().is_tag_first ? 16U : 0U);
  const auto nonce = part(packet, found.nonce_offset, found.nonce_bytes);
  const auto text = part(packet, text_offset, found.sealed_bytes - 16U);
  const Octets sealed = session.seal(session.c2s, part(packet, 0, found.authenticator_offset),
                                     Octets(nonce.begin(), nonce.end()), Octets(text.begin(), text.end()));
  std::copy(sealed.begin(), sealed.end(), packet.begin() + found.sealed_offset);
}

Served serve(const Octets& packet) {
  static Core core;
  Octets buffer(packet.begin(), packet.end());
  if (buffer.size() > 0xffff) return {};
  const nts::Request asked = nts::read_request(packet);
  nts::Batch batch;
  batch.count = 1;
  batch.packet[0] = buffer.data();
  batch.packet_bytes[0] = static_cast<std::uint16_t>(buffer.size());
  batch.received[0] = received;
  core.server.open_requests(batch, core.keys, {});
  core.server.prepare_answers(batch, core.keys, core.clock);
  if (batch.asks_mono_root) nts::Server::tell_mono_root(batch, mono_root, {});
  core.server.seal_answers(batch, transmitted);

  Served served{batch.request[0], {}};
  const Verdict verdict = served.request.verdict;
  require(verdict < Verdict::count, "every request has a verdict");
  require(batch.answer_bytes[0] <= packet.size(), "I1: an answer is never longer than its request");
  require((batch.answer_bytes[0] != 0) == nts::is_answered(verdict), "the verdict says whether we answer");
  buffer.resize(batch.answer_bytes[0]);
  served.answer = buffer;

  if (asked.verdict != Verdict::answer_nts) {
    require(verdict == asked.verdict, "what is no NTS request keeps the verdict of its form");
    if (served.answer.empty()) return served;
    require_header(packet, served.answer, false);
    require_echo_only(packet, asked, served.answer, asked.asks_mono_root);
    return served;
  }
  Octets session;
  const Verdict expected = expected_verdict(packet, asked, session);
  if (expected != Verdict::answer_nts) {
    require(verdict == expected, "cookie and seal are judged as nettle judges them");
    require_header(packet, served.answer, true);
    require_echo_only(packet, asked, served.answer, false);
  } else if (!served.answer.empty()) {
    require(verdict == Verdict::answer_nts, "an authentic request gets no kiss");
    require_header(packet, served.answer, false);
    require_authentic(packet, served.request, session, served.answer);
  }
  return served;
}

}  // namespace fuzz
