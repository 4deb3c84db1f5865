// The client's half of one NTP exchange, plain or with NTS: build a request, judge what comes back.
//
// Rules: RFC 5905 sections 8 and 9.2, RFC 8915 section 5.7. Pure like the rest of nts: no socket, no clock;
// the caller brings time stamps, randomness and a tier. `noonmark query` and the upstream role stand on it.
//
// The transmit stamp on the wire is random, not the time: an answer proves that its sender saw this request,
// and a listener learns nothing about the client's clock. T1 stays with the caller.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "nts/aead.h"
#include "nts/ntp_time.h"
#include "nts/random.h"
#include "nts/secret.h"

namespace nts {

// Fits the smallest IPv6 MTU (1280) after 40 octets of IPv6 and 8 of UDP: no request is ever fragmented.
inline constexpr std::uint32_t client_packet_bytes_max = 1232;
inline constexpr std::uint32_t client_cookie_bytes_max = 256;  // other servers' cookies differ from ours
inline constexpr std::uint32_t client_cookies_max = 8;         // RFC 8915 section 5.7
inline constexpr std::uint32_t unique_identifier_bytes = 32;   // RFC 8915 section 5.3: at least 32

// Cookies not yet used, oldest first out. Each leaves once and is wiped here.
class CookieJar {
 public:
  CookieJar() = default;
  CookieJar(const CookieJar&) = default;
  CookieJar& operator=(const CookieJar&) = default;
  ~CookieJar();

  // False when the jar is full, or when the cookie could not be sent back in an extension field of its own:
  // shorter than 12 octets (RFC 7822), longer than client_cookie_bytes_max, or no multiple of 4.
  bool add(std::span<const std::uint8_t> cookie) noexcept;

  // Copies the oldest cookie into `room` and forgets it. Returns its length, 0 when the jar is empty.
  [[nodiscard]] std::uint16_t take(std::span<std::uint8_t, client_cookie_bytes_max> room) noexcept;

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  // Of the next cookie to be taken; 0 when there is none.
  [[nodiscard]] std::uint16_t next_bytes() const noexcept { return count_ == 0 ? 0 : bytes_[0]; }

 private:
  std::array<std::array<std::uint8_t, client_cookie_bytes_max>, client_cookies_max> cookies_{};
  std::array<std::uint16_t, client_cookies_max> bytes_{};
  std::uint32_t count_ = 0;
};

// What NTS-KE agreed on: the AEAD, the two keys (as many octets as it takes of each) and the cookies in hand.
struct ClientSession {
  AeadRow aead = AeadRow::siv_256;
  Secret<aead_key_bytes_max> c2s;
  Secret<aead_key_bytes_max> s2c;
  CookieJar cookies;
};

// A request that waits for its answer.
struct ClientRequest {
  std::array<std::uint8_t, client_packet_bytes_max> packet{};
  std::uint16_t bytes = 0;  // 0: there was no cookie to make it with
  bool authenticated = false;
  std::uint8_t placeholders = 0;
  NtpTime origin{};  // the random transmit stamp it carries
  std::array<std::uint8_t, unique_identifier_bytes> unique_identifier{};  // when authenticated

  [[nodiscard]] std::span<const std::uint8_t> payload() const noexcept {
    return std::span<const std::uint8_t>(packet).first(bytes);
  }
};

// 48 octets of version 4, mode 3.
[[nodiscard]] ClientRequest make_plain_request(RandomSource& random) noexcept;

// Takes one cookie out of the jar and asks for as many as the jar then lacks, as far as they fit the packet.
[[nodiscard]] ClientRequest make_nts_request(ClientSession& session, const AeadKernels& kernels,
                                             RandomSource& random) noexcept;

// What an incoming packet is to the client. Only `good` may be measured with.
enum class AnswerVerdict : std::uint8_t {
  good,
  // Stratum 0 with DENY, RSTR or RATE: the server asks us to go or to slow down. To an NTS request it needs
  // our identifier, but no seal (RFC 8915 section 5.7): see `authenticated` before believing it at once.
  kiss,
  nts_nak,             // NTSN, with our identifier: the server cannot use our cookie, ask NTS-KE for new ones
  unsynchronised,      // the server says that it does not know the time (leap 3, or stratum 0 or above 15)
  implausible,         // a stamp missing, transmit before receive, or a root distance of 16 s or more
  refused_short,       // fewer than 48 octets
  refused_mode,        // not version 4, mode 4
  refused_origin,      // not an answer to this request (RFC 5905 section 8, test 2)
  refused_field,       // an extension field with a wrong length
  refused_identifier,  // Unique Identifier missing, double, or not ours
  refused_unauthenticated,  // no authenticator where there must be one
  refused_tag,              // the authenticator does not verify
  refused_encrypted,        // authentic, but the encrypted fields are malformed or bring no cookie
  count
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(AnswerVerdict::count)>
    answer_verdict_names = {"good",
                            "kiss",
                            "nts_nak",
                            "unsynchronised",
                            "implausible",
                            "refused_short",
                            "refused_mode",
                            "refused_origin",
                            "refused_field",
                            "refused_identifier",
                            "refused_unauthenticated",
                            "refused_tag",
                            "refused_encrypted"};

// True for packets that are no answer to the request: the caller waits on, because anybody can send such a
// packet.
[[nodiscard]] constexpr bool is_refused(AnswerVerdict verdict) noexcept {
  return verdict >= AnswerVerdict::refused_short;
}

struct Answer {
  AnswerVerdict verdict = AnswerVerdict::refused_short;
  bool authenticated = false;  // the tag verified; never true for a plain request
  std::uint8_t leap = 3;
  std::uint8_t stratum = 0;
  std::int8_t poll = 0;
  std::int8_t precision = 0;
  std::uint8_t cookies_received = 0;  // put into the jar
  std::uint32_t root_delay = 0;       // 16.16 s
  std::uint32_t root_dispersion = 0;  // 16.16 s
  std::uint32_t reference_id = 0;     // first octet in the high bits
  NtpTime reference{};
  NtpTime receive{};   // T2
  NtpTime transmit{};  // T3
};

// Judges `packet` as the answer to `request` and puts the cookies it brings into the jar, as far as there is
// room. `session` and `kernels` may be null for a plain request, and what stands behind the header of its
// answer is ignored. Changes nothing in `session` unless the tag verified and every encrypted field is well
// formed. The same octets are good as often as they are shown: the caller forgets the request with its first
// answer.
[[nodiscard]] Answer read_answer(std::span<const std::uint8_t> packet, const ClientRequest& request,
                                 ClientSession* session, const AeadKernels* kernels) noexcept;

// RFC 5905 section 8: offset = ((T2 - T1) + (T3 - T4)) / 2, delay = (T4 - T1) - (T3 - T2).
struct Measurement {
  std::int64_t offset_ns = 0;  // the server's clock minus ours
  std::int64_t delay_ns = 0;   // round trip; negative values are possible by clock granularity and are kept
};
[[nodiscard]] Measurement measure(NtpTime sent, NtpTime server_received, NtpTime server_sent,
                                  NtpTime received) noexcept;

// 16.16 seconds in nanoseconds, to the nearest.
[[nodiscard]] constexpr std::int64_t ns_from_short(std::uint32_t seconds_16_16) noexcept {
  return (std::int64_t{seconds_16_16} * 1'000'000'000 + 0x8000) >> 16;
}

}  // namespace nts
