#include "control/acknowledgement.h"

#include <algorithm>
#include <atomic>
#include <bitset>
#include <sys/stat.h>

#include "control/process_check.h"

namespace control {

AcknowledgementReport acknowledgement_of(const shm::StatsPage& page, std::uint64_t ring_generation,
                                         uid_t writer) {
  const std::uint64_t instance = page.instance_id.load(std::memory_order_acquire);
  if (instance == 0 || page.serving.load(std::memory_order_acquire) == 0 ||
      !is_process_of(page.pid.load(std::memory_order_relaxed), writer)) {
    return {Acknowledged::not_running, 0};
  }
  const auto cores = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(page.core_count.load(std::memory_order_relaxed), shm::cores_max));
  // A core that stops being drained says so before it reads the keys page: whoever is still drained here will
  // read what is published by now.
  const auto is_drained = [&](std::uint32_t core) {
    return page.cores[core].is_drained.load(std::memory_order_acquire) == 1;
  };
  std::bitset<shm::cores_max> drained;
  for (std::uint32_t core = 0; core < cores; ++core) {
    const shm::CoreStats& line = page.cores[core];
    // The instance is read again after the acknowledgement: a line that changed hands in between counts for
    // neither process.
    const bool is_ours = line.instance_id.load(std::memory_order_acquire) == instance;
    drained[core] = is_drained(core);
    const std::uint64_t generation = line.acknowledged_keys.load(std::memory_order_acquire);
    const bool is_still_ours = line.instance_id.load(std::memory_order_acquire) == instance;
    const bool is_missing = generation != ring_generation && !drained[core];
    if (!is_ours || !is_still_ours || is_missing) return {Acknowledged::missing, core};
  }
  // Once more, now that the others have the ring: then the dataplane has attached the page that it is in.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (std::uint32_t core = 0; core < cores; ++core) {
    if (drained[core] && !is_drained(core)) return {Acknowledged::missing, core};
  }
  return {Acknowledged::by_all, 0};
}

AcknowledgementWatch::AcknowledgementWatch(std::filesystem::path directory, uid_t writer)
    : directory_(std::move(directory)), writer_(writer) {}

AcknowledgementReport AcknowledgementWatch::look(std::uint64_t ring_generation) {
  struct stat found {};
  const std::filesystem::path path = shm::page_path(directory_, shm::PageKind::stats);
  const bool is_there = ::stat(path.c_str(), &found) == 0;
  const bool is_attached = page_ && found.st_ino == inode_ && found.st_dev == device_;
  if (is_there && !is_attached) {
    try {
      page_ = shm::Segment<shm::StatsPage>::attach(directory_, writer_);
      device_ = found.st_dev;
      inode_ = found.st_ino;
    } catch (const shm::SegmentError&) {
      // A page we cannot read may belong to a dataplane of another version that serves. Ours still counts, if
      // we had one; without any, nobody who reads our keys page has ever run.
    }
  }
  if (!page_) return {Acknowledged::not_running, 0};
  return acknowledgement_of(**page_, ring_generation, writer_);
}

}  // namespace control
