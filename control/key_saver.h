// Saves the key file in a thread of its own, so that a slow or dead disk never holds up a seal.
//
// One save at a time. The result comes through a descriptor that an event loop can wait for.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "control/descriptor.h"
#include "control/key_store.h"

namespace control {

class KeySaver {
 public:
  explicit KeySaver(std::filesystem::path file);
  // Waits for a save that is under way.
  ~KeySaver();
  KeySaver(const KeySaver&) = delete;
  KeySaver& operator=(const KeySaver&) = delete;

  // Takes a copy of `stored`. Only while is_busy() is false.
  void save(const StoredRing& stored);
  // From save() until result() has given its outcome.
  [[nodiscard]] bool is_busy() const noexcept { return is_busy_; }

  // Readable when there is a result.
  [[nodiscard]] int fd() const noexcept { return event_.get(); }
  // The outcome, once: empty text = saved, else what failed. Nothing while it is not done.
  [[nodiscard]] std::optional<std::string> result();

 private:
  void work();

  const std::filesystem::path file_;
  Descriptor event_;
  bool is_busy_ = false;  // the caller's own view; the thread never looks

  std::mutex mutex_;  // guards all below
  std::condition_variable wake_;
  Guarded<KeyFileImage> image_;
  bool has_work_ = false;
  bool stops_ = false;
  std::optional<std::string> result_;
  std::thread thread_;
};

}  // namespace control
