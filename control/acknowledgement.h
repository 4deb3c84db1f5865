// Has every core of the running dataplane loaded the ring? Read from its stats page, which is input from
// another process: nothing in it is believed beyond its bounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <sys/types.h>

#include "dataplane/shm/segment.h"

namespace control {

enum class Acknowledged : std::uint8_t {
  not_running,  // no dataplane: it reads the page before its first packet, so nobody is missing
  by_all,       // that are in service
  missing       // a core of a living dataplane opens cookies with an older ring
};

struct AcknowledgementReport {
  Acknowledged acknowledged;
  std::uint32_t core;  // the first that is missing, as its number in the stats page
};

// Of a mapped page. A drained core is not waited for: it reads the keys page anew before its next packet.
// `ring_generation` is that of the ring published now: no core can have loaded a later one,
// so a core that says it has speaks of a page that is gone (deleted under it, say) and counts as missing.
// `writer` is the dataplane's uid: a process id that now belongs to somebody else is a dead
// dataplane's.
[[nodiscard]] AcknowledgementReport acknowledgement_of(const shm::StatsPage& page,
                                                       std::uint64_t ring_generation, uid_t writer);

// Follows the page through the dataplane's restarts, also when its file is replaced.
class AcknowledgementWatch {
 public:
  AcknowledgementWatch(std::filesystem::path directory, uid_t writer);
  [[nodiscard]] AcknowledgementReport look(std::uint64_t ring_generation);

 private:
  std::filesystem::path directory_;
  uid_t writer_;
  std::optional<shm::Segment<shm::StatsPage>> page_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace control
