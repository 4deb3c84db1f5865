// Who polls which queues: so that one core can be taken out of service and put back while all others serve.
//
// Each worker brings its own queues. What a drained worker brought is polled by the next one in service, on
// every kind of port, and nothing is lost: a queue is handed on by the worker that polls it, between two
// bursts, to one that is awake. The main thread alone decides (follow); workers do what it wants and say
// where they are.
//
// Invariants
//   (1) A queue is polled by its holder only. Only the holder changes the holder.
//   (2) Nothing is handed to a worker that rests: a worker that has been told to serve says first that it is
//       awake, and one that may rest looks once more after it has said that it does.
//   (3) A worker rests only while it holds nothing and nothing is on its way to it.
//   (4) The main thread wants a queue elsewhere only once its last journey is over.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "dataplane/port/port.h"
#include "dataplane/shm/pages.h"

namespace dataplane {

// The queues that one worker brings, one for each port that has one for it.
struct Share {
  std::vector<Queue> queues;
  std::vector<std::uint32_t> devices;  // of each queue: its device's number in the settings
};

// Which workers the settings want drained, as bits by number: none when they speak of another dataplane than
// `instance_id`, or of all its `workers`.
[[nodiscard]] std::uint64_t drained_workers(const shm::Settings& settings, std::uint64_t instance_id,
                                            std::size_t workers) noexcept;

class Duties {
 public:
  // One share for each worker, cores_max at most. Each worker holds its own.
  explicit Duties(std::vector<Share> shares);

  // --- the main thread

  // One step towards `drained`, a bit for each worker, never all of them. To be called again and again.
  void follow(std::uint64_t drained) noexcept;

  // --- worker `number`

  // Changes whenever there may be something to hand on or to take up: one load.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
  // Hands on what others are to hold. Between bursts only.
  void hand_on(std::uint32_t number) noexcept;
  // True when it holds what worker `owner` brought.
  [[nodiscard]] bool holds(std::uint32_t number, std::size_t owner) const noexcept {
    return posts_[owner].holder.load(std::memory_order_acquire) == number;
  }
  // May rest, and has said so. Requires: it holds nothing.
  [[nodiscard]] bool begin_rest(std::uint32_t number) noexcept;
  [[nodiscard]] bool may_rest(std::uint32_t number) const noexcept {
    return posts_[number].may_rest.load(std::memory_order_seq_cst);
  }
  // From now on it may be given queues.
  void end_rest(std::uint32_t number) noexcept {
    posts_[number].rests.store(false, std::memory_order_seq_cst);
  }

  [[nodiscard]] const std::vector<Share>& shares() const noexcept { return shares_; }

 private:
  // Of one worker: who holds what it brought, and whether it rests itself.
  struct alignas(64) Post {
    std::atomic<std::uint32_t> holder{0};
    std::atomic<std::uint32_t> wanted{0};  // main's
    std::atomic<bool> may_rest{false};     // main's
    std::atomic<bool> rests{false};
  };

  alignas(64) std::atomic<std::uint64_t> version_{0};
  std::array<Post, shm::cores_max> posts_;
  std::vector<Share> shares_;
};

}  // namespace dataplane
