// What a worker takes over from the pages while it runs: keys, settings, and pages that are replaced.
#include <algorithm>

#include "tests/support/worker_on_rings.h"

namespace {

using nts::Verdict;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::instance_id;
using tests::leap_of;
using tests::Octets;
using tests::with_payload;
using tests::WorkerOnRings;

TEST_F(WorkerOnRings, AnswersOnTheVlansThatTheSettingsNameWhileItRuns) {
  FrameSpec spec = with_payload(tests::plain_request());
  spec.tags = {9};
  settings_.vlan_count = 1;
  settings_.vlans[0] = 7;
  publish_settings();
  rings_->arrive(spec);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_vlan), 1U);
  settings_.vlans[0] = 9;
  publish_settings();
  rings_->arrive(spec);
  EXPECT_EQ(serve().size(), 1U);
}

// Each device has its own; zeros mean whoever asked.
TEST_F(WorkerOnRings, AnswersToTheReplyGatewayOfItsDevice) {
  const tests::Mac gateway = {0x02, 0, 0, 0, 0, 9};
  const auto destination = [&] {
    rings_->arrive(with_payload(tests::plain_request()));
    const std::vector<Octets> answers = serve();
    tests::Mac mac{};
    if (answers.size() == 1) std::copy_n(answers[0].begin(), mac.size(), mac.begin());
    return mac;
  };
  std::copy(gateway.begin(), gateway.end(), settings_.reply_gateways[1]);
  publish_settings();
  EXPECT_EQ(destination(), tests::client_mac) << "the gateway of another device";
  std::copy(gateway.begin(), gateway.end(), settings_.reply_gateways[0]);
  publish_settings();
  EXPECT_EQ(destination(), gateway);
  std::fill_n(settings_.reply_gateways[0], 6, std::uint8_t{0});
  publish_settings();
  EXPECT_EQ(destination(), tests::client_mac);
}

TEST_F(WorkerOnRings, DropsNtsWithoutKeysAndServesItFromTheFirstPublicationOn) {
  rings_->arrive(with_payload(tests::nts_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_no_keys), 1U);
  EXPECT_EQ(line_.acknowledged_keys.load(), 0U);

  publish_keys(7);
  EXPECT_EQ(leap_of(ask(tests::nts_request())), 3);
  EXPECT_EQ(counted(Verdict::answer_nts), 1U);
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
}

TEST_F(WorkerOnRings, AcknowledgesANewRingWhileIdle) {
  publish_keys(7);
  while (worker_->serve_once()) {
  }
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
  EXPECT_EQ(line_.instance_id.load(), instance_id);
  publish_keys(8);
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(line_.acknowledged_keys.load(), 8U);
}

TEST_F(WorkerOnRings, KeepsItsKeysWhenThePageHoldsABrokenRing) {
  publish_keys(7);
  worker_->keep_house(rte_rdtsc());
  const std::vector<tests::RingEntry> entries = {{tests::usual_key_id, nts::KeyState::current}};
  nts::KeyRing broken = tests::make_ring(entries, 9);
  broken.current_id = 12;
  ASSERT_FALSE(nts::is_valid(broken));
  keys_page_->ring.publish(broken);
  static_cast<void>(ask(tests::nts_request()));
  EXPECT_EQ(counted(Verdict::answer_nts), 1U);
  EXPECT_EQ(line_.acknowledged_keys.load(), 7U);
}

TEST_F(WorkerOnRings, ARestartInheritsNoAcknowledgementAndNoCounter) {
  publish_keys(7);
  static_cast<void>(ask(tests::nts_request()));
  keys_page_ = std::make_unique<shm::KeysPage>();
  pages_.keys = keys_page_.get();
  make_worker(rings_->queues());
  EXPECT_EQ(line_.acknowledged_keys.load(), 0U);
  EXPECT_EQ(line_.received_packets.load(), 0U);
  EXPECT_EQ(all_verdicts(), 0U);
}

TEST_F(WorkerOnRings, C26_WithNtsSwitchedOffItIsDroppedAndPlainIsServed) {
  publish_keys();
  settings_.answer_nts = 0;
  publish_settings();
  rings_->arrive(with_payload(tests::nts_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_no_keys), 1U);
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(WorkerOnRings, SettingsChangeWhileItRuns) {
  EXPECT_EQ(leap_of(ask(tests::plain_request())), 3);
  settings_.answer_plain = 0;
  publish_settings();
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_plain_refused), 1U);

  settings_.answer_plain = 1;
  settings_.addresses[0] = tests::address_of(tests::Ipv4{192, 0, 2, 9});
  publish_settings();
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::pass_other), 1U);

  settings_.address_count = shm::addresses_max + 1;  // out of range: refused whole
  publish_settings();
  FrameSpec spec = with_payload(tests::plain_request());
  spec.destination = {192, 0, 2, 9};
  rings_->arrive(spec);
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(WorkerOnRings, G08_MovesToAReplacedPageEvenWhenItCountsItsGenerationsAnew) {
  publish_keys(7);
  worker_->keep_house(rte_rdtsc());
  auto other = std::make_unique<shm::KeysPage>();
  const std::vector<tests::RingEntry> entries = {{tests::usual_key_id, nts::KeyState::current}};
  other->ring.publish(tests::make_ring(entries, 8));
  ASSERT_EQ(other->ring.generation(), keys_page_->ring.generation());
  const dataplane::PageSet next{settings_page_.get(), other.get(), clock_page_.get()};
  current_.store(&next);
  EXPECT_EQ(worker_->pages_in_use(), &pages_);
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(worker_->pages_in_use(), &next);
  EXPECT_EQ(line_.acknowledged_keys.load(), 8U);
  current_.store(&pages_);
  worker_->keep_house(rte_rdtsc());
}

}  // namespace
