// Frames on bytes: unwrapping Ethernet, 802.1Q, IPv4 or IPv6 and UDP from a request, and wrapping the answer
// in the same octets. Pure: no mbuf, no device, so the same code runs under the NIC and in a test.
//
// Rules: TESTS.md A01-A29. Only UDP to one of our addresses and our port is ours; the rest is the kernel's
// business and never answered. Served are frames without a tag, behind one tag (802.1Q or 802.1ad) and behind
// 802.1ad + 802.1Q, of the VLANs that the settings name; the answer carries the same tags back. IPv4 options,
// IPv6 extension headers and fragments are not served. An answer leaves with none of the request's options,
// trailer or padding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/addresses.h"
#include "dataplane/shm/frame_verdict.h"

namespace dataplane {

// A MAC address as one number, first octet in the low bits: compared and moved in one go.
class MacAddress {
 public:
  static constexpr std::size_t bytes = 6;

  MacAddress() = default;
  explicit MacAddress(const std::array<std::uint8_t, bytes>& octets) noexcept {
    std::memcpy(&value_, octets.data(), bytes);
  }
  // Reads eight octets at `octets`, of which six are the address.
  [[nodiscard]] static MacAddress load_from_eight(const std::uint8_t* octets) noexcept {
    MacAddress address;
    std::memcpy(&address.value_, octets, sizeof address.value_);
    address.value_ &= 0xffff'ffff'ffff;
    return address;
  }
  void store(std::uint8_t* octets) const noexcept {
    const auto low = static_cast<std::uint32_t>(value_);
    const auto high = static_cast<std::uint16_t>(value_ >> 32);
    std::memcpy(octets, &low, sizeof low);
    std::memcpy(octets + sizeof low, &high, sizeof high);
  }
  // The first octet is the lowest.
  [[nodiscard]] std::uint64_t bits() const noexcept { return value_; }
  [[nodiscard]] bool is_group() const noexcept { return (value_ & 1) != 0; }
  [[nodiscard]] bool is_zero() const noexcept { return value_ == 0; }
  friend bool operator==(const MacAddress&, const MacAddress&) = default;

 private:
  std::uint64_t value_ = 0;
};

// No request that could be answered is longer: what one Ethernet frame carries over IPv4.
inline constexpr std::uint16_t request_bytes_max = 1500 - 20 - 8;

// Which VLANs are served. Id 0 stands for frames without a tag, and for tags that have a priority only.
class Vlans {
 public:
  static constexpr std::uint16_t ids = 4096;
  // All of them until told otherwise.
  Vlans() noexcept { served_.fill(~std::uint64_t{0}); }
  // Each below `ids`; none: all.
  void assign(std::span<const std::uint16_t> served) noexcept {
    served_.fill(served.empty() ? ~std::uint64_t{0} : 0);
    for (const std::uint16_t id : served) served_[id / 64] |= std::uint64_t{1} << id % 64;
  }
  [[nodiscard]] bool serves(std::uint16_t id) const noexcept {
    return (served_[id / 64] >> id % 64 & 1) != 0;
  }

 private:
  std::array<std::uint64_t, ids / 64> served_;
};

// Whom a frame must be addressed to.
struct Local {
  Addresses addresses;
  Vlans vlans;
  std::uint16_t ntp_port = 0;  // host order
};

// What the port already knows about a received frame's UDP checksum.
enum class ReceivedChecksum : std::uint8_t {
  unknown,  // verified here
  // Verified here, but a checksum that covers only the pseudo-header is taken too: a kernel that hands over
  // frames from a virtual device (veth, virtio, a container) has left the rest to hardware that never came.
  unknown_or_unfinished,
  good,
  bad
};

// What becomes of a frame, and what wrap needs to remember of the request's.
struct Envelope {
  std::uint16_t payload_offset = 0;
  std::uint16_t payload_bytes = 0;  // by the UDP length; what follows is no business of ours
  std::uint8_t ip_offset = 0;       // of the IP header: 14, 18 or 22 behind no, one or two tags
  bool is_ipv6 = false;
  bool is_request = false;                                    // ours: the payload goes to the NTP core
  shm::FrameVerdict verdict = shm::FrameVerdict::pass_other;  // why not, when it is not
};

// Where the source address of a request stands in its frame: 4 octets of IPv4 or 16 of IPv6.
[[nodiscard]] inline std::size_t source_offset(const Envelope& envelope) noexcept {
  return envelope.ip_offset + (envelope.is_ipv6 ? std::size_t{8} : std::size_t{12});
}

// And the address it asked: ours.
[[nodiscard]] inline std::size_t destination_offset(const Envelope& envelope) noexcept {
  return source_offset(envelope) + (envelope.is_ipv6 ? std::size_t{16} : std::size_t{4});
}

// Reads one frame into `envelope`; only is_request and verdict are set when it is no request of ours.
// Ensures: when is_request, payload_offset + payload_bytes <= frame.size().
void unwrap(std::span<const std::uint8_t> frame, const Local& local, MacAddress our_mac,
            ReceivedChecksum received_checksum, Envelope& envelope) noexcept;
// The same for the frames that usual_frame.h passes over, which it may be asked of first; right for all.
void unwrap_carefully(std::span<const std::uint8_t> frame, const Local& local, MacAddress our_mac,
                      ReceivedChecksum received_checksum, Envelope& envelope) noexcept;

enum class SentChecksum : std::uint8_t { software, offload };

// Turns the request's frame into the answer's: addresses swapped, lengths and checksums for a payload of
// `answer_bytes`, which already stands where the request's payload stood. Returns the octets of the frame to
// send. With `offload` the UDP checksum field holds the pseudo-header's sum, as NICs want it.
// Requires: `envelope` from unwrap of the same frame, is_request, answer_bytes <= payload_bytes.
[[nodiscard]] std::uint16_t wrap(std::uint8_t* frame, const Envelope& envelope, std::uint16_t answer_bytes,
                                 SentChecksum sent_checksum) noexcept;

}  // namespace dataplane
