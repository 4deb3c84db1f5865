// The XDP program of af_xdp: ports. It gives NTP requests to the served (address, port) pairs to our AF_XDP
// socket and passes everything else to the kernel, so that ARP, neighbour discovery, ICMP, SSH, NTS-KE and the
// host's own NTP client (whose answers come in mode 4) go on.
//
// It decides as little as possible: what it takes must be a request that frame.cc would read, and what is
// wrong inside it is counted there. So: no tag, one of 802.1Q or 802.1ad, or 802.1ad + 802.1Q; IPv4 without
// options or fragments, IPv6 with UDP straight behind it, mode 3. Until the served pairs are filled in,
// everything passes.
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// As in dataplane/port/xdp_redirects.cc.
struct served_pair {
  __u8 address[16];  // network order; IPv4 in the first four, zeros behind
  __u16 port;        // network order
  __u16 family;      // 4 or 6
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 128);
  __type(key, struct served_pair);
  __type(value, __u32);
} noonmark_pairs SEC(".maps");

// DPDK's driver looks for this name and puts its sockets in, by queue.
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");

enum {
  ethernet_bytes = 14,
  tag_bytes = 4,
  ipv4_bytes = 20,
  ipv6_bytes = 40,
  udp_bytes = 8,
  ethertype_vlan = 0x8100,
  ethertype_service_vlan = 0x88a8,
  protocol_udp = 17,
  mode_client = 3
};

static __always_inline int is_served(const struct served_pair* pair, const __u8* udp, const __u8* end) {
  if (udp + udp_bytes + 1 > end) return 0;
  if ((udp[udp_bytes] & 7) != mode_client) return 0;
  return bpf_map_lookup_elem(&noonmark_pairs, pair) != 0;
}

SEC("xdp")
int noonmark_ntp(struct xdp_md* context) {
  const __u8* at = (const __u8*)(long)context->data;
  const __u8* const end = (const __u8*)(long)context->data_end;
  if (at + ethernet_bytes > end) return XDP_PASS;
  __u16 ethertype = (__u16)(at[12] << 8 | at[13]);
  at += ethernet_bytes;
  const int is_service_tag = ethertype == ethertype_service_vlan;
  if (is_service_tag || ethertype == ethertype_vlan) {
    if (at + tag_bytes > end) return XDP_PASS;
    ethertype = (__u16)(at[2] << 8 | at[3]);
    at += tag_bytes;
    if (is_service_tag && ethertype == ethertype_vlan) {
      if (at + tag_bytes > end) return XDP_PASS;
      ethertype = (__u16)(at[2] << 8 | at[3]);
      at += tag_bytes;
    }
  }
  struct served_pair pair = {};
  const __u8* udp = at;
  if (ethertype == 0x0800) {
    udp = at + ipv4_bytes;
    if (udp + udp_bytes > end || at[0] != 0x45 || at[9] != protocol_udp) return XDP_PASS;
    if ((at[6] & 0x3f) != 0 || at[7] != 0) return XDP_PASS;  // a fragment is the kernel's to put together
    __builtin_memcpy(pair.address, at + 16, 4);
    pair.family = 4;
  } else if (ethertype == 0x86dd) {
    udp = at + ipv6_bytes;
    if (udp + udp_bytes > end || at[6] != protocol_udp) return XDP_PASS;
    __builtin_memcpy(pair.address, at + 24, 16);
    pair.family = 6;
  } else {
    return XDP_PASS;
  }
  __builtin_memcpy(&pair.port, udp + 2, 2);
  if (!is_served(&pair, udp, end)) return XDP_PASS;
  return bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS);
}

char license_text[] SEC("license") = "Dual BSD/GPL";
