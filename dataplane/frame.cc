#include "dataplane/frame.h"

#include <cstring>

#include "dataplane/checksum.h"
#include "dataplane/usual_frame.h"
#include "nts/check.h"

namespace dataplane {
namespace {

using shm::FrameVerdict;

constexpr std::size_t mac_bytes = MacAddress::bytes;
constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t tag_bytes = 4;
constexpr std::size_t ipv4_bytes = 20;
constexpr std::size_t ipv6_bytes = 40;
constexpr std::size_t udp_bytes = 8;

constexpr std::uint16_t ethertype_ipv4 = 0x0800;
constexpr std::uint16_t ethertype_ipv6 = 0x86dd;
constexpr std::uint16_t ethertype_vlan = 0x8100;
constexpr std::uint16_t ethertype_service_vlan = 0x88a8;
constexpr std::uint16_t vlan_id_bits = 0x0fff;

constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint8_t protocol_ipv6_fragment = 44;
constexpr std::uint8_t answer_hops = 64;  // what most hosts send; the way back is as long as the way here

std::uint16_t load16(const std::uint8_t* octets) noexcept {
  return static_cast<std::uint16_t>(octets[0] << 8 | octets[1]);
}

void store16(std::uint8_t* octets, std::uint16_t value) noexcept {
  const std::uint16_t swapped = __builtin_bswap16(value);
  std::memcpy(octets, &swapped, sizeof swapped);
}

// Next-header values that say "more IPv6 headers follow", or that none does (IANA IPv6 Extension Header
// Types, and 59). Anything else is a transport that belongs to the kernel.
bool is_ipv6_extension(std::uint8_t next_header) noexcept {
  switch (next_header) {
    case 0:    // hop-by-hop
    case 43:   // routing
    case 50:   // ESP
    case 51:   // AH
    case 59:   // no next header
    case 60:   // destination options
    case 135:  // mobility
    case 139:  // HIP
    case 140:  // Shim6
    case 253:  // experiments
    case 254:
      return true;
    default:
      return false;
  }
}

bool is_good_source_mac(MacAddress source, MacAddress ours) noexcept {
  return !source.is_group() && !source.is_zero() && !(source == ours);
}

// The IP header as both families present it to UDP.
struct IpPacket {
  FrameVerdict verdict = FrameVerdict::pass_other;
  bool is_udp_to_us = false;
  bool may_answer = false;          // the source is one that may be answered
  std::uint16_t payload_bytes = 0;  // UDP header included
  std::uint64_t pseudo_sum = 0;     // addresses and protocol; the UDP length is still to come
};

IpPacket read_ipv4(const std::uint8_t* ip, std::size_t bytes, const Local& local) noexcept {
  IpPacket packet;
  if (bytes < ipv4_bytes) {
    packet.verdict = FrameVerdict::drop_truncated;
    return packet;
  }
  if (ip[0] >> 4 != 4) {
    packet.verdict = FrameVerdict::drop_ipv4_header;
    return packet;
  }
  if (!local.addresses.serves_ipv4(ip + 16) || ip[9] != protocol_udp) return packet;
  const std::uint16_t total_bytes = load16(ip + 2);
  const bool is_plain_header = ip[0] == 0x45;  // five words: options are never served
  if (!is_plain_header || total_bytes < ipv4_bytes) {
    packet.verdict = FrameVerdict::drop_ipv4_header;
    return packet;
  }
  if (total_bytes > bytes) {
    packet.verdict = FrameVerdict::drop_truncated;
    return packet;
  }
  const std::uint64_t address_sum = sum_word(ip + 12) + sum_word(ip + 16);  // no carry out of 64 bits
  if (!is_right_checksum(sum_word(ip) + sum_word(ip + 4) + sum_word(ip + 8) + address_sum)) {
    packet.verdict = FrameVerdict::drop_ipv4_checksum;
    return packet;
  }
  if ((load16(ip + 6) & 0x3fff) != 0) {  // more fragments, or an offset; DF may stand
    packet.verdict = FrameVerdict::drop_fragment;
    return packet;
  }
  if (ip[8] == 0) {
    packet.verdict = FrameVerdict::drop_ttl;
    return packet;
  }
  packet.is_udp_to_us = true;
  packet.may_answer = local.addresses.may_answer_ipv4(ip + 12);
  packet.payload_bytes = static_cast<std::uint16_t>(total_bytes - ipv4_bytes);
  packet.pseudo_sum = address_sum + sum_of_value(protocol_udp);
  return packet;
}

IpPacket read_ipv6(const std::uint8_t* ip, std::size_t bytes, const Local& local) noexcept {
  IpPacket packet;
  if (bytes < ipv6_bytes) {
    packet.verdict = FrameVerdict::drop_truncated;
    return packet;
  }
  if (ip[0] >> 4 != 6) {
    packet.verdict = FrameVerdict::drop_ipv6_header;
    return packet;
  }
  if (!local.addresses.serves_ipv6(ip + 24)) return packet;
  const std::uint8_t next_header = ip[6];
  if (next_header != protocol_udp) {
    if (next_header == protocol_ipv6_fragment) packet.verdict = FrameVerdict::drop_fragment;
    if (is_ipv6_extension(next_header)) packet.verdict = FrameVerdict::drop_ipv6_extension;
    return packet;
  }
  const std::uint16_t payload_bytes = load16(ip + 4);
  if (payload_bytes == 0) {  // UDP needs eight; 0 would be a jumbogram's
    packet.verdict = FrameVerdict::drop_ipv6_header;
    return packet;
  }
  if (payload_bytes > bytes - ipv6_bytes) {
    packet.verdict = FrameVerdict::drop_truncated;
    return packet;
  }
  if (ip[7] == 0) {
    packet.verdict = FrameVerdict::drop_ttl;
    return packet;
  }
  packet.is_udp_to_us = true;
  packet.may_answer = local.addresses.may_answer_ipv6(ip + 8, ip + 24);
  packet.payload_bytes = payload_bytes;
  packet.pseudo_sum = plus(sum_octets(ip + 8, 32), sum_of_value(protocol_udp));
  return packet;
}

bool is_good_udp_checksum(const std::uint8_t* udp, std::uint16_t bytes, const IpPacket& packet, bool is_ipv6,
                          ReceivedChecksum received) noexcept {
  std::uint16_t stored;
  std::memcpy(&stored, udp + 6, sizeof stored);
  if (stored == 0) return !is_ipv6;  // "not computed": legal over IPv4 only (RFC 8200 section 8.1)
  if (received == ReceivedChecksum::good) return true;
  if (received == ReceivedChecksum::bad) return false;
  const std::uint64_t pseudo_sum = plus(packet.pseudo_sum, sum_of_value(bytes));
  if (is_right_checksum(plus(pseudo_sum, sum_octets(udp, bytes)))) return true;
  return received == ReceivedChecksum::unknown_or_unfinished && stored == fold(pseudo_sum);
}

// The UDP datagram of `packet` at `udp_offset`: fills the envelope of a request, or returns why it is none.
bool read_udp(const std::uint8_t* frame, const IpPacket& packet, std::size_t ip_offset, bool is_ipv6,
              const Local& local, MacAddress our_mac, ReceivedChecksum received_checksum,
              Envelope& envelope) noexcept {
  const auto refuse = [&](FrameVerdict why) {
    envelope.verdict = why;
    return false;
  };
  if (!packet.is_udp_to_us) return refuse(packet.verdict);
  if (packet.payload_bytes < udp_bytes) return refuse(FrameVerdict::drop_udp_length);
  const std::size_t udp_offset = ip_offset + (is_ipv6 ? ipv6_bytes : ipv4_bytes);
  const std::uint8_t* udp = frame + udp_offset;
  if (load16(udp + 2) != local.ntp_port) return refuse(FrameVerdict::pass_other);

  // From here on somebody asks us for the time: each refusal says why.
  const MacAddress destination = MacAddress::load_from_eight(frame);
  const MacAddress source = MacAddress::load_from_eight(frame + mac_bytes);
  if (!(destination == our_mac) || !is_good_source_mac(source, our_mac)) {
    return refuse(FrameVerdict::drop_mac);
  }
  if (!packet.may_answer) return refuse(FrameVerdict::drop_source_address);
  if (load16(udp) == 0) return refuse(FrameVerdict::drop_source_port);
  const std::uint16_t length = load16(udp + 4);
  if (length < udp_bytes || length > packet.payload_bytes) return refuse(FrameVerdict::drop_udp_length);
  if (length > udp_bytes + request_bytes_max) return refuse(FrameVerdict::drop_too_long);
  if (!is_good_udp_checksum(udp, length, packet, is_ipv6, received_checksum)) {
    return refuse(FrameVerdict::drop_udp_checksum);
  }

  envelope.payload_offset = static_cast<std::uint16_t>(udp_offset + udp_bytes);
  envelope.payload_bytes = static_cast<std::uint16_t>(length - udp_bytes);
  envelope.ip_offset = static_cast<std::uint8_t>(ip_offset);
  envelope.is_ipv6 = is_ipv6;
  return true;
}

// Any frame.
bool read_frame(std::span<const std::uint8_t> frame, const Local& local, MacAddress our_mac,
                ReceivedChecksum received_checksum, Envelope& envelope) noexcept {
  const auto refuse = [&](FrameVerdict why) {
    envelope.verdict = why;
    return false;
  };
  if (frame.size() < ethernet_bytes) return refuse(FrameVerdict::drop_truncated);
  std::size_t ip_offset = ethernet_bytes;
  std::uint16_t ethertype = load16(frame.data() + 2 * mac_bytes);
  bool is_served_vlan = true;
  const auto take_tag = [&] {
    if (frame.size() < ip_offset + tag_bytes) return false;
    is_served_vlan =
        is_served_vlan &&
        local.vlans.serves(static_cast<std::uint16_t>(load16(frame.data() + ip_offset) & vlan_id_bits));
    ethertype = load16(frame.data() + ip_offset + 2);
    ip_offset += tag_bytes;
    return true;
  };
  if (ethertype == ethertype_vlan) {
    if (!take_tag()) return refuse(FrameVerdict::drop_vlan);
  } else if (ethertype == ethertype_service_vlan) {
    if (!take_tag()) return refuse(FrameVerdict::drop_vlan);
    if (ethertype == ethertype_vlan && !take_tag()) return refuse(FrameVerdict::drop_vlan);
  } else {
    is_served_vlan = local.vlans.serves(0);
  }
  if (ethertype == ethertype_vlan || ethertype == ethertype_service_vlan) {
    return refuse(FrameVerdict::drop_vlan);
  }

  const std::uint8_t* ip = frame.data() + ip_offset;
  const std::size_t ip_bytes = frame.size() - ip_offset;
  const bool is_ipv6 = ethertype == ethertype_ipv6;
  IpPacket packet;
  if (ethertype == ethertype_ipv4) packet = read_ipv4(ip, ip_bytes, local);
  if (is_ipv6) packet = read_ipv6(ip, ip_bytes, local);
  if (!read_udp(frame.data(), packet, ip_offset, is_ipv6, local, our_mac, received_checksum, envelope)) {
    return false;
  }
  // Last, so that only what would be answered elsewhere counts as one of a VLAN that is not served.
  return is_served_vlan || refuse(FrameVerdict::drop_vlan);
}

}  // namespace

void unwrap_carefully(std::span<const std::uint8_t> frame, const Local& local, MacAddress our_mac,
                      ReceivedChecksum received_checksum, Envelope& envelope) noexcept {
  envelope.is_request = read_frame(frame, local, our_mac, received_checksum, envelope);
}

void unwrap(std::span<const std::uint8_t> frame, const Local& local, MacAddress our_mac,
            ReceivedChecksum received_checksum, Envelope& envelope) noexcept {
  if (unwrap_usual(frame, local, our_mac, received_checksum, envelope)) return;
  unwrap_carefully(frame, local, our_mac, received_checksum, envelope);
}

namespace {

void store32(std::uint8_t* octets, std::uint32_t value) noexcept {
  const std::uint32_t swapped = __builtin_bswap32(value);
  std::memcpy(octets, &swapped, sizeof swapped);
}

// Words, and not arrays of octets: those would have the compiler guard the stack of a function this short.
template <class Word>
void swap_words(std::uint8_t* left, std::uint8_t* right) noexcept {
  Word kept_left;
  Word kept_right;
  std::memcpy(&kept_left, left, sizeof kept_left);
  std::memcpy(&kept_right, right, sizeof kept_right);
  std::memcpy(left, &kept_right, sizeof kept_right);
  std::memcpy(right, &kept_left, sizeof kept_left);
}

// Writes a fresh header around the swapped addresses: no octet of the request's but those survives. Returns
// the pseudo-header's sum without the UDP length. Sums are taken before their octets are rewritten (a swap
// does not change them): reading back what was just written in smaller pieces would stall.
std::uint64_t write_ipv4(std::uint8_t* ip, std::uint16_t udp_length) noexcept {
  constexpr std::uint16_t version_and_class = 0x4500;  // the request's traffic class is not ours to promise
  constexpr std::uint16_t dont_fragment = 0x4000;  // so the identification may be 0 (RFC 6864 section 4.1)
  constexpr std::uint16_t hops_and_protocol = answer_hops << 8 | protocol_udp;
  constexpr std::uint64_t constant_sum =
      sum_of_value(version_and_class) + sum_of_value(dont_fragment) + sum_of_value(hops_and_protocol);
  const auto total_bytes = static_cast<std::uint16_t>(ipv4_bytes + udp_length);
  const std::uint64_t address_sum = sum_word(ip + 12) + sum_word(ip + 16);
  store32(ip, std::uint32_t{version_and_class} << 16 | total_bytes);
  store32(ip + 4, dont_fragment);
  store16(ip + 8, hops_and_protocol);
  store_folded(ip + 10, checksum_of(constant_sum + sum_of_value(total_bytes) + address_sum));
  swap_words<std::uint32_t>(ip + 12, ip + 16);
  return address_sum + sum_of_value(protocol_udp);
}

std::uint64_t write_ipv6(std::uint8_t* ip, std::uint16_t udp_length) noexcept {
  constexpr std::uint32_t version_and_no_flow = 0x60000000;
  store32(ip, version_and_no_flow);
  store32(ip + 4, std::uint32_t{udp_length} << 16 | protocol_udp << 8 | answer_hops);
  const std::uint64_t address_sum = sum_octets(ip + 8, 32);
  swap_words<std::uint64_t>(ip + 8, ip + 24);
  swap_words<std::uint64_t>(ip + 16, ip + 32);
  return plus(address_sum, sum_of_value(protocol_udp));
}

}  // namespace

std::uint16_t wrap(std::uint8_t* frame, const Envelope& envelope, std::uint16_t answer_bytes,
                   SentChecksum sent_checksum) noexcept {
  nts::check(envelope.is_request && answer_bytes <= envelope.payload_bytes);
  const MacAddress ours = MacAddress::load_from_eight(frame);
  MacAddress::load_from_eight(frame + mac_bytes).store(frame);
  ours.store(frame + mac_bytes);

  const auto udp_length = static_cast<std::uint16_t>(udp_bytes + answer_bytes);
  std::uint8_t* ip = frame + envelope.ip_offset;
  const std::uint64_t pseudo_sum = plus(
      envelope.is_ipv6 ? write_ipv6(ip, udp_length) : write_ipv4(ip, udp_length), sum_of_value(udp_length));

  std::uint8_t* udp = frame + envelope.payload_offset - udp_bytes;
  const std::uint64_t header_sum = sum_word(udp) + sum_of_value(udp_length);  // ports and length
  swap_words<std::uint16_t>(udp, udp + 2);
  store16(udp + 4, udp_length);
  if (sent_checksum == SentChecksum::offload) {
    store_folded(udp + 6, fold(pseudo_sum));
  } else {
    const std::uint64_t payload_sum = sum_octets(udp + udp_bytes, answer_bytes);
    const std::uint16_t checksum = checksum_of(plus(plus(pseudo_sum, header_sum), payload_sum));
    store_folded(udp + 6, checksum == 0 ? 0xffff : checksum);  // 0 would say "not computed" (RFC 768)
  }
  return static_cast<std::uint16_t>(envelope.payload_offset + answer_bytes);
}

}  // namespace dataplane
