#include "dataplane/port/source_spread.h"

#include <linux/if_ether.h>

namespace dataplane {
namespace {

constexpr std::uint16_t load_four = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t multiply = BPF_ALU | BPF_MUL | BPF_K;
constexpr std::uint16_t if_equal = BPF_JMP | BPF_JEQ | BPF_K;

constexpr std::uint32_t protocol = static_cast<std::uint32_t>(SKF_AD_OFF) + SKF_AD_PROTOCOL;
// Of the IP header, wherever the frame begins for the kernel at this point.
constexpr std::uint32_t ip_at(std::uint32_t offset) {
  return static_cast<std::uint32_t>(SKF_NET_OFF) + offset;
}

constexpr std::uint32_t ipv4_source = 12;
constexpr std::uint32_t ipv6_source = 8;
constexpr std::uint32_t last_of_56_bits = 0xffffff00;  // in the second word
constexpr std::uint32_t half_way = 15;
constexpr std::uint32_t upper_half = 16;  // where a product depends on all bits of its factors

}  // namespace

// The kernel takes the result modulo the number of queues. What is neither IPv4 nor IPv6 is none of ours.
SourceSpread source_spread(std::uint32_t factor) noexcept {
  return {{
      {load_four, 0, 0, protocol},
      {if_equal, 0, 2, ETH_P_IP},
      {load_four, 0, 0, ip_at(ipv4_source)},
      {BPF_JMP | BPF_JA, 0, 0, 8},  // to the mixing
      {if_equal, 1, 0, ETH_P_IPV6},
      {BPF_RET | BPF_K, 0, 0, 0},
      {load_four, 0, 0, ip_at(ipv6_source)},
      {multiply, 0, 0, factor},
      {BPF_MISC | BPF_TAX, 0, 0, 0},
      {load_four, 0, 0, ip_at(ipv6_source + 4)},
      {BPF_ALU | BPF_AND | BPF_K, 0, 0, last_of_56_bits},
      {BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0},
      {multiply, 0, 0, factor},  // mixing: twice, as neighbours come in rows
      {BPF_MISC | BPF_TAX, 0, 0, 0},
      {BPF_ALU | BPF_RSH | BPF_K, 0, 0, half_way},
      {BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0},
      {multiply, 0, 0, factor},
      {BPF_ALU | BPF_RSH | BPF_K, 0, 0, upper_half},
      {BPF_RET | BPF_A, 0, 0, 0},
  }};
}

}  // namespace dataplane
