// A target that is broken on purpose: tests/fuzz/afl_test.py asks whether a fuzzer finds it. No target of
// ours, and built by nothing else.
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

void run(Input input) {
  Reader reader(input);
  if (reader.octet() != 'N') return;
  if (reader.octet() != 'T') return;
  require(reader.octet() != 'S', "what is planted here is never found");
}

std::vector<Octets> seeds() { return {{'N', 'o', 'o', 'n', 'm', 'a', 'r', 'k'}}; }

const Registration registration({"planted", run, seeds});

}  // namespace
}  // namespace fuzz
