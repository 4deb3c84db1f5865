// A WorkerOnRings with everything it needs: both families, one key, a good clock. For tests whose question is
// about frames and buffers, not about pages.
#pragma once

#include "tests/support/worker_on_rings.h"

namespace tests {

class ServedWorker : public WorkerOnRings {
 protected:
  void SetUp() override {
    WorkerOnRings::SetUp();
    if (IsSkipped()) return;
    settings_.addresses[settings_.address_count++] = address_of(server_ipv6);
    publish_settings();
    publish_keys();
    clock_page_->clock.publish(good_clock());
    worker_->keep_house(rte_rdtsc());
  }

  // I6: whatever came before, the next good request is answered.
  void expect_serves() {
    rings_->arrive(request());
    const std::vector<Octets> answers = serve();
    ASSERT_EQ(answers.size(), 1U) << "I6";
    EXPECT_TRUE(is_sound(answers[0]));
  }

  // A frame from the usual client, addressed to this port.
  [[nodiscard]] FrameSpec request(Octets payload = plain_request()) const {
    FrameSpec spec;
    spec.payload = std::move(payload);
    Octets eight(8);
    rings_->port().mac().store(eight.data());
    std::copy(eight.begin(), eight.begin() + 6, spec.to.begin());
    return spec;
  }
};

}  // namespace tests
