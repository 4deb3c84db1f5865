// The cookie keys while the keeper runs: found or made, saved, published, handed over, retired.
//
// One change at a time, in the order that loses no cookie: saved, then published as accepting, then loaded by
// every core of the dataplane, then saved as current, then published, then sealed with. Nothing is published
// that is not saved, with one exception: at a first start with a dead disk the keys live in RAM (the page is
// on a tmpfs and outlives this process) under an alarm, until a save succeeds. Sealing never waits for any of
// it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "control/acknowledgement.h"
#include "control/cookie_sealer.h"
#include "control/key_rotation.h"
#include "control/key_saver.h"
#include "control/key_store.h"
#include "control/messages.h"
#include "control/page_keeping.h"
#include "dataplane/shm/segment.h"

namespace control {

struct KeyLifeSetup {
  std::filesystem::path pages;
  std::filesystem::path file;
  std::uint32_t retention_s;
  uid_t dataplane_uid;  // whose stats page counts
  gid_t dataplane_gid;  // who may read the keys page
  // The product's times; a test may be less patient.
  std::chrono::milliseconds core_silence_max{5000};  // DESIGN.md "Keys"
  std::chrono::milliseconds acknowledgement_poll{50};
  std::chrono::milliseconds retirement_poll{60'000};
  std::chrono::milliseconds save_patience{3000};  // then the disk counts as dead, if only for the moment
  std::chrono::milliseconds save_retry_min{1000};
  std::chrono::milliseconds save_retry_max{60'000};
  std::chrono::milliseconds rotate_patience{rotate_reply_max};
};

class KeyLife {
 public:
  // Locks and opens the page, reads the file, decides what counts (key_copies.h) or makes the first ring.
  // Nothing is published yet. Throws SegmentError or std::runtime_error with one sentence.
  KeyLife(boost::asio::io_context& io, const KeyLifeSetup& setup, const nts::siv::Kernels& tier);
  KeyLife(const KeyLife&) = delete;
  KeyLife& operator=(const KeyLife&) = delete;

  // Runs for ever. Calls `on_published` once, when the page holds the ring.
  [[nodiscard]] boost::asio::awaitable<void> run(std::function<void()> on_published);

  // For ever: keeps the page's file in its place.
  [[nodiscard]] boost::asio::awaitable<void> keep_page() { return control::keep_page(io_, page_); }

  // From now on; keys that are past it retire soon.
  void set_retention(std::uint32_t retention_s);

  // Fills `reply` but for its header. Never waits.
  void seal(SealRequest& request, SealReply& reply) { sealer_.seal(request, reply); }
  // Fills `reply` but for its header: oldest key first.
  void list(KeyListReply& reply) const;
  // Begins a rotation; the reply, but for its header, comes when the new key is published or refused.
  [[nodiscard]] boost::asio::awaitable<RotateReply> rotate();

 private:
  // Somebody's wish for a new key, and what became of it.
  struct Wish {
    explicit Wish(boost::asio::io_context& io) : done(io) {}
    boost::asio::steady_timer done;
    std::optional<RotateReply> reply;
  };

  [[nodiscard]] RotationMoment moment() const;
  void find_ring();

  [[nodiscard]] boost::asio::awaitable<void> begin();
  [[nodiscard]] boost::asio::awaitable<void> add_key();
  [[nodiscard]] boost::asio::awaitable<void> hand_over();
  [[nodiscard]] boost::asio::awaitable<void> retire();

  // All of these are about `next_`.
  void start_save();
  [[nodiscard]] boost::asio::awaitable<void> save_until_done();
  [[nodiscard]] boost::asio::awaitable<void> pause_before_retry(std::chrono::milliseconds pause);
  [[nodiscard]] boost::asio::awaitable<std::string> outcome();
  [[nodiscard]] boost::asio::awaitable<std::optional<std::string>> outcome_in_time();
  void publish();

  void grant(const RotateReply& reply);
  [[nodiscard]] RotateReply reply_of_pending() const;

  boost::asio::io_context& io_;
  KeyLifeSetup setup_;
  shm::Segment<shm::KeysPage> page_;
  Epoch epoch_;
  Guarded<StoredRing> ring_;  // what the page holds
  Guarded<StoredRing> next_;  // what it shall hold; the same between changes
  CookieSealer sealer_;
  AcknowledgementWatch watch_;
  KeySaver saver_;
  boost::asio::posix::stream_descriptor saved_;
  boost::asio::steady_timer wake_;
  boost::asio::steady_timer retry_;  // of a save that failed
  std::shared_ptr<Wish> wish_;
  bool is_first_ = false;   // next_ is a ring that nobody has seen
  bool must_save_ = false;  // next_ is not what the file holds
  std::string disk_alarm_;  // empty = none
  std::string core_alarm_;
};

}  // namespace control
