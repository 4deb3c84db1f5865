#include "dataplane/port/packet_filter.h"

#include <array>
#include <cstring>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

namespace dataplane {
namespace {

constexpr std::uint32_t take_whole_frame = 0xffffffff;
constexpr std::uint32_t tag_bytes = 4;
constexpr std::uint32_t ethertype_offset = 12;
constexpr std::uint32_t protocol_udp = 17;
constexpr std::uint32_t mode_bits = 7;
constexpr std::uint32_t mode_client = 3;

constexpr std::uint16_t load_octet = BPF_LD | BPF_B | BPF_IND;  // at X + k, X being where IP begins
constexpr std::uint16_t load_two = BPF_LD | BPF_H | BPF_IND;
constexpr std::uint16_t load_four = BPF_LD | BPF_W | BPF_IND;
constexpr std::uint16_t load_fact = BPF_LD | BPF_W | BPF_ABS;  // what the kernel knows, at SKF_AD_OFF + k
constexpr std::uint16_t load_two_at = BPF_LD | BPF_H | BPF_ABS;
constexpr std::uint16_t set_ip_offset = BPF_LDX | BPF_W | BPF_IMM;
constexpr std::uint16_t if_equal = BPF_JMP | BPF_JEQ | BPF_K;
constexpr std::uint16_t if_any_bit = BPF_JMP | BPF_JSET | BPF_K;

// A program as it grows. Jumps are relative, and conditional ones reach 255 instructions at most: every one
// here jumps over a return, or over one address.
class Program {
 public:
  void say(std::uint16_t code, std::uint32_t k) { steps_.push_back({code, 0, 0, k}); }
  void refuse() { say(BPF_RET | BPF_K, 0); }
  void take() { say(BPF_RET | BPF_K, take_whole_frame); }
  // Goes on when the accumulator equals `k`; else the frame is refused.
  void require(std::uint32_t k) {
    steps_.push_back({if_equal, 1, 0, k});
    refuse();
  }
  void require_none_of(std::uint32_t bits) {
    steps_.push_back({if_any_bit, 0, 1, bits});
    refuse();
  }
  // Jumps over the next `count` instructions unless the accumulator equals `k`.
  void unless_equal_skip(std::uint32_t k, std::uint8_t count) { steps_.push_back({if_equal, 0, count, k}); }
  // Jumps from here to wherever land() is called for it, if the accumulator does not equal `k`.
  std::size_t unless_equal_jump(std::uint32_t k) {
    steps_.push_back({if_equal, 1, 0, k});
    return jump();
  }
  std::size_t jump() {
    say(BPF_JMP | BPF_JA, 0);
    return steps_.size() - 1;
  }
  void land(std::size_t jump) { steps_[jump].k = static_cast<std::uint32_t>(steps_.size() - jump - 1); }
  std::vector<sock_filter> whole() && { return std::move(steps_); }

 private:
  std::vector<sock_filter> steps_;
};

std::uint32_t load32(const std::uint8_t* octets) {
  std::uint32_t value;
  std::memcpy(&value, octets, sizeof value);
  return __builtin_bswap32(value);
}

// Leaves the EtherType in the accumulator and the offset of IP in X.
void say_ethernet(Program& program) {
  program.say(load_fact, static_cast<std::uint32_t>(SKF_AD_OFF) + SKF_AD_PKTTYPE);
  const std::size_t incoming = program.unless_equal_jump(PACKET_OUTGOING);
  program.refuse();
  program.land(incoming);

  program.say(load_fact, static_cast<std::uint32_t>(SKF_AD_OFF) + SKF_AD_VLAN_TAG_PRESENT);
  const std::size_t tag_was_taken_off = program.unless_equal_jump(0);
  program.say(set_ip_offset, ETH_HLEN + tag_bytes);
  program.say(load_two_at, ethertype_offset);
  const std::size_t no_tag = program.unless_equal_jump(ETH_P_8021Q);
  program.say(load_two_at, ethertype_offset + tag_bytes);
  const std::size_t one_tag = program.jump();

  program.land(tag_was_taken_off);
  program.say(load_fact, static_cast<std::uint32_t>(SKF_AD_OFF) + SKF_AD_VLAN_TPID);
  program.require(ETH_P_8021Q);
  program.land(no_tag);
  program.say(set_ip_offset, ETH_HLEN);
  program.say(load_two_at, ethertype_offset);
  program.land(one_tag);
}

// UDP at X + `udp`: to our port, in mode 3.
void say_udp(Program& program, std::uint32_t udp, std::uint16_t port) {
  program.say(load_two, udp + 2);
  program.require(port);
  program.say(load_octet, udp + 8);
  program.say(BPF_ALU | BPF_AND | BPF_K, mode_bits);
  program.require(mode_client);
}

void say_ipv4(Program& program, std::span<const shm::Address> addresses, std::uint16_t port) {
  constexpr std::uint32_t more_fragments_or_offset = 0x3fff;
  program.say(load_octet, 0);
  program.require(0x45);
  program.say(load_octet, 9);
  program.require(protocol_udp);
  program.say(load_two, 6);
  program.require_none_of(more_fragments_or_offset);
  say_udp(program, 20, port);
  program.say(load_four, 16);
  for (const shm::Address& address : addresses) {
    if (address.family != 4) continue;
    program.unless_equal_skip(load32(address.octets), 1);
    program.take();
  }
  program.refuse();
}

void say_ipv6(Program& program, std::span<const shm::Address> addresses, std::uint16_t port) {
  program.say(load_octet, 6);
  program.require(protocol_udp);
  say_udp(program, 40, port);
  for (const shm::Address& address : addresses) {
    if (address.family != 6) continue;
    for (std::uint8_t word = 0; word < 4; ++word) {
      program.say(load_four, 24U + 4U * word);
      // Over what is left of this address: two instructions for each word to come, and the take.
      program.unless_equal_skip(load32(address.octets + 4 * word),
                                static_cast<std::uint8_t>(2 * (3 - word) + 1));
    }
    program.take();
  }
  program.refuse();
}

}  // namespace

std::vector<sock_filter> packet_filter(std::span<const shm::Address> addresses, std::uint16_t port) {
  Program program;
  say_ethernet(program);
  const std::size_t no_ipv4 = program.unless_equal_jump(ETH_P_IP);
  say_ipv4(program, addresses, port);
  program.land(no_ipv4);
  program.require(ETH_P_IPV6);
  say_ipv6(program, addresses, port);
  return std::move(program).whole();
}

}  // namespace dataplane
