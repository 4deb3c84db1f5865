// A dataplane as the keeper sees it: a stats page under our own process id, whose cores acknowledge when told
// to.
#pragma once

#include <unistd.h>

#include "dataplane/shm/segment.h"
#include "tests/control/scratch.h"

namespace tests {

class PlayedDataplane {
 public:
  PlayedDataplane(const std::filesystem::path& pages, std::uint64_t cores, std::uint64_t instance_id = 4711)
      : page_(shm::Segment<shm::StatsPage>::open_writable(pages, ::getegid())), cores_(cores) {
    page_->pid = static_cast<std::uint64_t>(::getpid());
    page_->core_count = cores;
    for (std::uint64_t core = 0; core < cores; ++core) {
      page_->cores[core].acknowledged_keys = 0;
      page_->cores[core].instance_id = instance_id;
    }
    page_->instance_id = instance_id;
    page_->serving = 1;
  }
  PlayedDataplane(const PlayedDataplane&) = delete;
  PlayedDataplane& operator=(const PlayedDataplane&) = delete;
  ~PlayedDataplane() { page_->serving = 0; }

  // All cores at once.
  void acknowledge(std::uint64_t generation) {
    for (std::uint64_t core = 0; core < cores_; ++core) page_->cores[core].acknowledged_keys = generation;
  }
  [[nodiscard]] shm::StatsPage* operator->() const { return &*page_; }

 private:
  shm::Segment<shm::StatsPage> page_;
  std::uint64_t cores_;
};

}  // namespace tests
