#include "dataplane/port/flow_rules.h"

#include <array>
#include <numeric>
#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#include "dataplane/port/port.h"
#include "dataplane/shm/pages.h"

namespace dataplane {
namespace {

// One rule and all that it points to; built where it is used, because it points into itself.
class NtpRule {
 public:
  NtpRule(bool is_ipv6, std::uint16_t ntp_port, std::uint16_t queues) {
    attributes_.ingress = 1;
    wanted_.hdr.dst_port = rte_cpu_to_be_16(ntp_port);
    mask_.hdr.dst_port = 0xffff;
    pattern_[0].type = RTE_FLOW_ITEM_TYPE_ETH;
    pattern_[1].type = is_ipv6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4;
    pattern_[2] = {RTE_FLOW_ITEM_TYPE_UDP, &wanted_, nullptr, &mask_};
    pattern_[3].type = RTE_FLOW_ITEM_TYPE_END;
    std::iota(queue_.begin(), queue_.end(), std::uint16_t{0});
    one_.index = 0;
    spread_.types = is_ipv6 ? RTE_ETH_RSS_IPV6 : RTE_ETH_RSS_IPV4;
    spread_.types |= RTE_ETH_RSS_L3_SRC_ONLY;
    spread_.queue_num = queues;
    spread_.queue = queue_.data();
    if (queues == 1) {
      actions_[0] = {RTE_FLOW_ACTION_TYPE_QUEUE, &one_};
    } else {
      actions_[0] = {RTE_FLOW_ACTION_TYPE_RSS, &spread_};
    }
    actions_[1].type = RTE_FLOW_ACTION_TYPE_END;
  }
  NtpRule(const NtpRule&) = delete;
  NtpRule& operator=(const NtpRule&) = delete;

  [[nodiscard]] bool is_possible(std::uint16_t port_id) const noexcept {
    rte_flow_error error{};
    return rte_flow_validate(port_id, &attributes_, pattern_.data(), actions_.data(), &error) == 0;
  }
  // The reason when it is refused; empty when it stands.
  [[nodiscard]] std::string put_into(std::uint16_t port_id) const {
    rte_flow_error error{};
    if (rte_flow_create(port_id, &attributes_, pattern_.data(), actions_.data(), &error) != nullptr)
      return {};
    return error.message != nullptr ? error.message : rte_strerror(rte_errno);
  }

 private:
  rte_flow_attr attributes_{};
  rte_flow_item_udp wanted_{};
  rte_flow_item_udp mask_{};
  std::array<rte_flow_item, 4> pattern_{};
  std::array<std::uint16_t, shm::cores_max> queue_{};
  rte_flow_action_queue one_{};
  rte_flow_action_rss spread_{};
  std::array<rte_flow_action, 2> actions_{};
};

}  // namespace

bool can_steer_ntp(std::uint16_t port_id, std::uint16_t ntp_port) noexcept {
  return NtpRule(false, ntp_port, 1).is_possible(port_id);
}

void isolate(std::uint16_t port_id, const std::string& device) {
  rte_flow_error error{};
  if (rte_flow_isolate(port_id, 1, &error) == 0) return;
  throw PortError("device " + device + " does not leave the kernel its share: " +
                  (error.message != nullptr ? error.message : rte_strerror(rte_errno)) +
                  "; update its firmware, or use af_xdp: with its interface");
}

void steer_ntp(std::uint16_t port_id, std::uint16_t ntp_port, std::uint16_t queues,
               const std::string& device) {
  for (const bool is_ipv6 : {false, true}) {
    const std::string trouble = NtpRule(is_ipv6, ntp_port, queues).put_into(port_id);
    if (trouble.empty()) continue;
    throw PortError("device " + device + " takes no rule that brings it NTP over " +
                    (is_ipv6 ? "IPv6: " : "IPv4: ") + trouble +
                    "; update its firmware, or use af_xdp: with its interface");
  }
}

}  // namespace dataplane
