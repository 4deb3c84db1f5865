// The frame that nearly every request comes in, and its answer: IPv4 without a tag, a header of five words,
// nothing behind the UDP datagram that the IP header does not know of, a UDP checksum.
//
// Told by a few words under masks, in the worker's own loop. What is not such a frame in every respect is not
// judged here: frame.cc reads it and says why it is refused, so that a rule stands in one place. Lengths are
// checked before anything behind them is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/checksum.h"
#include "dataplane/frame.h"
#include "nts/check.h"

namespace dataplane {

namespace usual {

// Where things stand in such a frame. Words are read as the machine reads them: the first octet is the
// lowest.
inline constexpr std::size_t ethertype_at = 12;
inline constexpr std::size_t ip_at = 14;    // version, class, length, identification, fragment
inline constexpr std::size_t hops_at = 22;  // hops, protocol, checksum, source
inline constexpr std::size_t destination_at = 30;
inline constexpr std::size_t udp_at = 34;  // ports, length, checksum
inline constexpr std::size_t payload_at = 42;
inline constexpr std::uint32_t ipv4_bytes = 20;
inline constexpr std::uint32_t udp_bytes = 8;

inline constexpr std::uint16_t ethertype = 0x0008;
inline constexpr std::uint64_t version = 0x45;
inline constexpr std::uint64_t version_and_fragment_mask = 0xff3f'0000'0000'00ff;  // DF may stand
inline constexpr std::uint64_t udp_protocol = 17 << 8;
inline constexpr std::uint64_t protocol_mask = 0xff << 8;

template <class Word>
[[nodiscard, gnu::always_inline]] inline Word load(const std::uint8_t* octets) noexcept {
  Word word;
  std::memcpy(&word, octets, sizeof word);
  return word;
}
template <class Word>
[[gnu::always_inline]] inline void store(std::uint8_t* octets, Word word) noexcept {
  std::memcpy(octets, &word, sizeof word);
}

inline constexpr std::uint64_t group_bit = 1;  // of a MAC address, whose first octet is the lowest

// 1 for 0, and 0 for any other number below 2^63: no branch, and no flag to be kept.
[[nodiscard, gnu::always_inline]] inline std::uint64_t one_if_zero(std::uint64_t value) noexcept {
  return (value - 1) >> 63;
}

// A plain request or answer is 48 octets, nearly always: no loop then.
inline constexpr std::size_t plain_bytes = 48;
[[nodiscard, gnu::always_inline]] inline std::uint64_t plus_payload(std::uint64_t sum,
                                                                    const std::uint8_t* octets,
                                                                    std::size_t bytes) noexcept {
  if (bytes == plain_bytes) return plus_words<plain_bytes / 8>(sum, octets);
  return plus(sum, sum_octets(octets, bytes));
}

}  // namespace usual

// True when `frame` is a request of ours in a usual frame, all of it right: `envelope` is then what unwrap
// makes of it. False says nothing; `envelope` is untouched.
[[nodiscard, gnu::always_inline]] inline bool unwrap_usual(std::span<const std::uint8_t> frame,
                                                           const Local& local, MacAddress our_mac,
                                                           ReceivedChecksum received_checksum,
                                                           Envelope& envelope) noexcept {
  using namespace usual;
  if (frame.size() < payload_at) return false;
  const std::uint8_t* octets = frame.data();
  const auto first = load<std::uint64_t>(octets + ip_at);
  const auto second = load<std::uint64_t>(octets + hops_at);
  const auto destination = load<std::uint32_t>(octets + destination_at);
  const auto udp = load<std::uint64_t>(octets + udp_at);
  const std::uint32_t total_bytes = __builtin_bswap16(static_cast<std::uint16_t>(first >> 16));
  const std::uint32_t length = __builtin_bswap16(static_cast<std::uint16_t>(udp >> 32));
  const std::uint32_t port = __builtin_bswap16(static_cast<std::uint16_t>(udp >> 16));
  const std::uint64_t differs = ((first ^ version) & version_and_fragment_mask) |
                                ((second ^ udp_protocol) & protocol_mask) |
                                (load<std::uint16_t>(octets + ethertype_at) ^ ethertype) |
                                (port ^ local.ntp_port) | (total_bytes ^ (length + ipv4_bytes));
  const std::uint64_t source_mac = MacAddress::load_from_eight(octets + MacAddress::bytes).bits();
  const std::uint64_t mac_differs = (MacAddress::load_from_eight(octets).bits() ^ our_mac.bits()) |
                                    (source_mac & group_bit) | one_if_zero(source_mac) |
                                    one_if_zero(source_mac ^ our_mac.bits());
  const std::uint32_t payload_bytes = length - udp_bytes;  // huge when there is not even a header
  if ((differs | mac_differs) != 0 || payload_bytes > request_bytes_max ||
      ip_at + total_bytes > frame.size()) {
    return false;
  }
  const bool has_hops = static_cast<std::uint8_t>(second) != 0;
  const bool has_source_port = static_cast<std::uint16_t>(udp) != 0;
  const bool has_checksum = udp >> 48 != 0;
  if (!has_hops || !has_source_port || !has_checksum) return false;
  if (!local.vlans.serves(0) || !local.addresses.serves_ipv4(octets + destination_at) ||
      !local.addresses.may_answer_ipv4(octets + hops_at + 4)) {
    return false;
  }
  if (!is_right_checksum(plus(plus(first, second), destination))) return false;
  if (received_checksum == ReceivedChecksum::bad) return false;
  if (received_checksum != ReceivedChecksum::good) {
    const std::uint64_t pseudo_sum =
        (second >> 32) + destination + udp_protocol +
        sum_of_value(static_cast<std::uint16_t>(length));  // no carry out of 64 bits
    if (!is_right_checksum(plus_payload(plus(pseudo_sum, udp), octets + payload_at, payload_bytes))) {
      return false;
    }
  }
  envelope = {.payload_offset = payload_at,
              .payload_bytes = static_cast<std::uint16_t>(payload_bytes),
              .ip_offset = ip_at,
              .is_ipv6 = false,
              .is_request = true,
              .verdict = shm::FrameVerdict::pass_other};
  return true;
}

// Whether wrap_usual may be asked.
[[nodiscard, gnu::always_inline]] inline bool is_usual(const Envelope& envelope) noexcept {
  return envelope.ip_offset == usual::ip_at && !envelope.is_ipv6;
}

// As wrap with SentChecksum::software, where is_usual(envelope).
[[nodiscard, gnu::always_inline]] inline std::uint16_t wrap_usual(std::uint8_t* frame,
                                                                  const Envelope& envelope,
                                                                  std::uint16_t answer_bytes) noexcept {
  using namespace usual;
  nts::check(envelope.is_request && answer_bytes <= envelope.payload_bytes);
  constexpr std::uint64_t dont_fragment = std::uint64_t{0x0040} << 48;
  constexpr std::uint64_t hops = 64;
  const auto length = static_cast<std::uint16_t>(udp_bytes + answer_bytes);
  const auto total = static_cast<std::uint16_t>(ipv4_bytes + length);
  const std::uint64_t total_word = __builtin_bswap16(total);
  const std::uint64_t length_word = __builtin_bswap16(length);
  const std::uint64_t our_mac = load<std::uint64_t>(frame);
  const std::uint64_t source_mac = load<std::uint64_t>(frame + MacAddress::bytes);
  const std::uint64_t source = load<std::uint32_t>(frame + hops_at + 4);
  const std::uint64_t destination = load<std::uint32_t>(frame + destination_at);
  const std::uint64_t ports = load<std::uint32_t>(frame + udp_at);

  // Two MAC addresses, exchanged, in twelve octets.
  store(frame, (source_mac & 0xffff'ffff'ffff) | our_mac << 48);
  store(frame + 8, static_cast<std::uint32_t>(our_mac >> 16));

  const std::uint64_t address_sum = source + destination;
  const std::uint64_t ip_sum =
      address_sum + version + total_word + (dont_fragment >> 48) + (hops | udp_protocol);
  store(frame + ip_at, version | total_word << 16 | dont_fragment);
  store(frame + hops_at, hops | udp_protocol | std::uint64_t{checksum_of(ip_sum)} << 16 | destination << 32);
  store(frame + destination_at, static_cast<std::uint32_t>(source));

  const std::uint64_t header_sum = address_sum + udp_protocol + 2 * length_word + ports;
  const std::uint16_t sum = checksum_of(plus_payload(header_sum, frame + payload_at, answer_bytes));
  const std::uint64_t checksum = sum == 0 ? 0xffff : sum;  // 0 would say "not computed" (RFC 768)
  store(frame + udp_at, (ports >> 16 | (ports & 0xffff) << 16) | length_word << 32 | checksum << 48);
  return static_cast<std::uint16_t>(payload_at + answer_bytes);
}

}  // namespace dataplane
