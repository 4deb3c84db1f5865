// What libFuzzer (and AFL++'s driver) calls. Linked with exactly one target.
#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/fuzz/target.h"

// With NOONMARK_FUZZ_SEEDS=DIR the target's seeds are written there first: DIR is then given as a corpus.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* folder = std::getenv("NOONMARK_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  int number = 0;
  for (const fuzz::Octets& seed : fuzz::targets().front().seeds()) {
    std::ofstream file(std::string(folder) + "/seed-" + std::to_string(number++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t bytes) {
  fuzz::targets().front().run({octets, bytes});
  return 0;
}
