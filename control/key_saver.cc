#include "control/key_saver.h"

#include <csignal>
#include <cstring>
#include <new>
#include <stdexcept>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "nts/check.h"

namespace control {

KeySaver::KeySaver(std::filesystem::path file)
    : file_(std::move(file)), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.is_open())
    throw std::runtime_error("no event descriptor is left; raise RLIMIT_NOFILE (LimitNOFILE=)");
  // Signals are the main thread's: the new one inherits a full mask.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw std::runtime_error("no thread can be started to save keys; raise RLIMIT_NPROC (TasksMax=)");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

KeySaver::~KeySaver() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void KeySaver::save(const StoredRing& stored) {
  nts::check(!is_busy_);
  {
    const std::lock_guard lock(mutex_);
    encode_key_file(stored, *image_);
    has_work_ = true;
  }
  is_busy_ = true;
  wake_.notify_one();
}

std::optional<std::string> KeySaver::result() {
  std::optional<std::string> outcome;
  const std::lock_guard lock(mutex_);
  outcome.swap(result_);
  if (outcome) {
    std::uint64_t count;
    static_cast<void>(!::read(event_.get(), &count, sizeof count));
    is_busy_ = false;
  }
  return outcome;
}

void KeySaver::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return has_work_ || stops_; });
    if (!has_work_) return;
    has_work_ = false;
    // Nobody touches the image while a save is under way: save() is refused until result().
    lock.unlock();
    std::string outcome;
    try {
      outcome = save_key_file(file_, *image_);
    } catch (const std::bad_alloc&) {  // leaving a thread by exception would end the keeper by signal
      outcome = "out of memory";       // short enough to need none
    }
    lock.lock();
    sodium_memzero(&*image_, sizeof *image_);
    result_ = std::move(outcome);
    const std::uint64_t one = 1;
    static_cast<void>(!::write(event_.get(), &one, sizeof one));
  }
}

}  // namespace control
