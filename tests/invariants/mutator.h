// Frames that nobody sends: the golden captures' changed at random, put right again in places so that they
// get deep, and signed by a client who means ill.
#pragma once

#include <vector>

#include "tests/invariants/packet_path.h"
#include "tests/nts/aead_session.h"

namespace tests {

class Mutator {
 public:
  // `corpus`: whole frames, at least one. With `mends`, most mutants get right lengths, checksums, cookies
  // and tags again; without, they stay as the changes left them.
  Mutator(std::vector<Octets> corpus, bool mends);

  [[nodiscard]] Octets make(Chance& chance) const;

 private:
  [[nodiscard]] Octets noise(Chance& chance) const;
  void change(Octets& frame, Chance& chance) const;
  void mend(Octets& frame, Chance& chance) const;
  void seal(Octets& frame, std::size_t payload_offset, Chance& chance) const;

  std::vector<Octets> corpus_;
  std::vector<AeadSession> sessions_;         // one under each AEAD
  std::vector<std::vector<Octets>> cookies_;  // of each session, good ones
  bool mends_;
};

}  // namespace tests
