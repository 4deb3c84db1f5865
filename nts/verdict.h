// What became of a request. Every value is also a counter, so no packet vanishes uncounted.
//
// received == the sum over all verdicts (this list plus the frame verdicts of dataplane/shm/frame_verdict.h).
// A new verdict goes before `count`, gets a name in verdict_names, and the stats page grows by itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nts {

enum class Verdict : std::uint8_t {
  // Answered.
  answer_plain,       // 48 octets, plus the Unique Identifier if the request carried one
  answer_nts,         // authenticated
  nak_key_unknown,    // NTSN: the cookie names a key id this ring never had
  nak_key_retired,    // NTSN: the cookie names a key that is retired
  nak_cookie,         // NTSN: wrong cookie length, or the cookie does not open under its key
  nak_authenticator,  // NTSN: the request's tag is wrong
  kiss_rate,          // RATE: the source asks for more than its share
  kiss_deny,          // DENY: the access rules refuse the source, or want NTS of it
  // Dropped.
  drop_short,              // fewer than 48 octets
  drop_version,            // not 3 or 4
  drop_mode,               // not a client request (mode 3)
  drop_mac,                // a symmetric-key MAC or crypto-NAK follows: not offered (RFC 8633)
  drop_trailing,           // octets after the header that are no extension field
  drop_extension,          // an extension field with a wrong length (RFC 7822)
  drop_extension_count,    // more fields than extension_fields_max
  drop_unique_identifier,  // NTS request with none, two, or one that is too short
  drop_cookie,             // NTS request with no cookie, or with two
  drop_placeholder,        // a placeholder whose length is not the cookie's
  drop_authenticator,      // missing, or its inner lengths do not fit
  drop_encrypted,          // authentic, but the encrypted fields are malformed
  drop_no_keys,            // NTS request while no key ring is loaded, or NTS is switched off
  drop_plain_refused,      // plain request while only NTS is served
  drop_kiss_limited,       // would be a kiss of death, but the core has sent its share of them
  drop_no_room,            // an answer would be longer than the request
  count
};

inline constexpr std::size_t verdict_count = static_cast<std::size_t>(Verdict::count);

inline constexpr std::array<std::string_view, verdict_count> verdict_names = {"answer_plain",
                                                                              "answer_nts",
                                                                              "nak_key_unknown",
                                                                              "nak_key_retired",
                                                                              "nak_cookie",
                                                                              "nak_authenticator",
                                                                              "kiss_rate",
                                                                              "kiss_deny",
                                                                              "drop_short",
                                                                              "drop_version",
                                                                              "drop_mode",
                                                                              "drop_mac",
                                                                              "drop_trailing",
                                                                              "drop_extension",
                                                                              "drop_extension_count",
                                                                              "drop_unique_identifier",
                                                                              "drop_cookie",
                                                                              "drop_placeholder",
                                                                              "drop_authenticator",
                                                                              "drop_encrypted",
                                                                              "drop_no_keys",
                                                                              "drop_plain_refused",
                                                                              "drop_kiss_limited",
                                                                              "drop_no_room"};

// True for the verdicts that put a packet on the wire.
[[nodiscard]] constexpr bool is_answered(Verdict verdict) noexcept { return verdict <= Verdict::kiss_deny; }

// True for the answers that say no: a kiss of death each (RFC 5905 section 7.4, RFC 8915 section 5.7).
[[nodiscard]] constexpr bool is_kiss(Verdict verdict) noexcept {
  return verdict >= Verdict::nak_key_unknown && verdict <= Verdict::kiss_deny;
}

}  // namespace nts
