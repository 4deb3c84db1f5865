// Who is served, before anybody reads what is asked: the access rules, then the source's allowance.
//
// One per core. Costs one test while there is neither rule nor limit. A request that gets no answer costs no
// crypto; one that gets a kiss of death is read first, so that only requests are answered, and never more
// often than the core's budget of kisses allows.
#pragma once

#include <cstdint>

#include "dataplane/service.h"
#include "dataplane/shm/frame_verdict.h"
#include "dataplane/source_limit.h"
#include "nts/batch.h"

namespace dataplane {

class Admission {
 public:
  struct Decision {
    bool is_admitted;           // to the batch, with ...
    nts::Treatment treatment;   // ... this
    shm::FrameVerdict refused;  // else why not
  };

  // `sources`: how many the limit remembers. `seed`: random, new with each start.
  Admission(std::uint32_t sources, const SourceLimit::Seed& seed, std::uint64_t tsc_hz);

  // Takes over what the settings say.
  void set(const Service& service) noexcept;

  // True while every request is served: then judge() need not be asked.
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }

  // `source`: 4 or 16 octets in network order; `request_bytes`: of the UDP payload.
  [[nodiscard]] Decision judge(const std::uint8_t* source, bool is_ipv6, std::uint16_t request_bytes,
                               std::uint64_t now_tsc) noexcept;

  // Takes one kiss of death from the core's budget; false when it is spent.
  [[nodiscard]] bool may_kiss(std::uint64_t now_tsc) noexcept { return kisses_.take(now_tsc); }

 private:
  [[nodiscard]] bool leaks() noexcept;

  const AccessList* access_ = nullptr;
  SourceLimit limit_;
  Budget kisses_;
  std::uint64_t tsc_hz_;
  std::uint64_t chance_;  // xorshift, seeded: nobody can foresee which request is let through
  std::uint32_t leak_ = 0;
  bool kisses_refused_ = false;
  bool kisses_limited_ = false;
  bool is_open_ = true;
};

}  // namespace dataplane
