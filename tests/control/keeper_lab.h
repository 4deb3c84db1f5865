// A keeper in a thread of its own, on real files and sockets, and those who talk to it.
#pragma once

#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <thread>

#include "control/keeper.h"
#include "tests/control/cookies.h"
#include "tests/control/played_dataplane.h"
#include "tests/control/scratch.h"

namespace tests {

using namespace std::chrono_literals;

// Long enough for the slowest machine; nothing waits that long unless it is broken.
inline constexpr std::chrono::seconds patience{20};

template <class Condition>
[[nodiscard]] bool comes_true(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

class RunningKeeper {
 public:
  explicit RunningKeeper(const control::KeyLifeSetup& setup) : keeper_(io_, setup, *nts::siv::choose_tier()) {
    std::promise<void> serving;
    keeper_.start([&] { serving.set_value(); });
    thread_ = std::thread([this] { io_.run(); });
    EXPECT_EQ(serving.get_future().wait_for(patience), std::future_status::ready);
  }
  RunningKeeper(const RunningKeeper&) = delete;
  RunningKeeper& operator=(const RunningKeeper&) = delete;
  ~RunningKeeper() {
    io_.stop();
    thread_.join();
  }

 private:
  boost::asio::io_context io_{1};
  control::Keeper keeper_;
  std::thread thread_;
};

inline bool is_same(const nts::KeyRing& left, const nts::KeyRing& right) {
  return std::memcmp(&left, &right, sizeof left) == 0;
}

class KeeperLab : public testing::Test {
 protected:
  KeeperLab() {
    for (const char* directory : {"keeper", "dataplane", "state"}) {
      std::filesystem::create_directory(scratch_.path() / directory);
    }
    setup_.pages = scratch_.path();
    setup_.file = scratch_.path() / "state" / "keys";
    setup_.retention_s = 14 * 86400;
    setup_.dataplane_uid = ::geteuid();
    setup_.dataplane_gid = ::getegid();
    // Impatient where the product waits for people and disks.
    setup_.core_silence_max = 100ms;
    setup_.acknowledgement_poll = 1ms;
    setup_.retirement_poll = 5ms;
    setup_.save_patience = patience;  // a slow machine is no hung disk
    setup_.save_retry_min = 5ms;
    setup_.save_retry_max = 20ms;
    setup_.rotate_patience = patience;
  }

  void start() { keeper_ = std::make_unique<RunningKeeper>(setup_); }
  void stop() { keeper_.reset(); }
  void restart() {
    stop();
    start();
  }

  [[nodiscard]] std::filesystem::path socket() const { return setup_.pages / "keeper" / "socket"; }
  [[nodiscard]] std::filesystem::path page() const {
    return shm::page_path(setup_.pages, shm::PageKind::keys);
  }

  // All zeros, and a failed test, when there is no reply.
  template <class Reply, class Request>
  [[nodiscard]] Reply ask(const Request& request, control::MessageKind kind) const {
    Reply reply{};
    auto keeper = control::RoleConnection::connect(socket(), {});
    EXPECT_TRUE(keeper && keeper->ask(request, kind, reply, control::deadline_in(patience)));
    return reply;
  }
  [[nodiscard]] control::SealReply seal(std::uint8_t fill = 1) const {
    return ask<control::SealReply>(seal_request(fill), control::MessageKind::seal_reply);
  }
  [[nodiscard]] control::KeyListReply list() const {
    return ask<control::KeyListReply>(empty_request(control::MessageKind::key_list_request),
                                      control::MessageKind::key_list_reply);
  }
  [[nodiscard]] control::RotateReply rotate() const {
    return ask<control::RotateReply>(empty_request(control::MessageKind::rotate_request),
                                     control::MessageKind::rotate_reply);
  }
  [[nodiscard]] static control::EmptyRequest empty_request(control::MessageKind kind) {
    return {{control::message_magic, kind, 7}};
  }

  // As a dataplane that looks at the page at this moment.
  [[nodiscard]] nts::KeyRing ring() const {
    const auto mapped = shm::Segment<shm::KeysPage>::attach(setup_.pages, ::geteuid());
    nts::KeyRing ring{};
    std::uint64_t seen = 0;
    EXPECT_TRUE(comes_true([&] { return mapped->ring.read(ring, seen); }));
    EXPECT_TRUE(nts::is_valid(ring));
    return ring;
  }
  [[nodiscard]] control::StoredRing stored() const {
    control::StoredRing stored{};
    EXPECT_EQ(control::load_key_file(setup_.file, stored).loaded, control::Loaded::ring);
    return stored;
  }
  // Sealed now by the keeper for `fill`, all eight opened by `ring`, of constant length.
  void expect_opens(const control::SealReply& reply, const nts::KeyRing& ring, std::uint8_t fill = 1) const {
    ASSERT_EQ(reply.status, control::Status::ok);
    EXPECT_EQ(reply.cookie_bytes, 100U);
    for (const auto& cookie : reply.cookies) {
      EXPECT_EQ(session_keys_in(cookie, ring), session_keys_of(seal_request(fill)));
    }
  }
  // No file can be made at the name the key file is saved under: also for root, who may write anywhere.
  void block_disk() const { std::filesystem::create_directory(setup_.file.native() + ".new"); }
  void unblock_disk() const { std::filesystem::remove(setup_.file.native() + ".new"); }

  [[nodiscard]] static std::string text(const auto& octets) { return octets.data(); }

  Scratch scratch_;
  control::KeyLifeSetup setup_;
  std::unique_ptr<RunningKeeper> keeper_;
};

}  // namespace tests
