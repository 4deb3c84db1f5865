// One EAL for the whole program: DPDK starts once per process. Where it cannot start (no memory, no rights)
// the tests that need it are skipped with the reason, and the others run.
#include <gtest/gtest.h>
#include <memory>

#include "dataplane/eal.h"
#include "tests/support/ring_port.h"

int main(int count, char** words) {
  ::testing::InitGoogleTest(&count, words);
  std::unique_ptr<dataplane::Eal> eal;
  try {
    eal = std::make_unique<dataplane::Eal>(dataplane::EalOptions{});
    tests::eal_trouble.clear();
  } catch (const dataplane::EalError& error) {
    tests::eal_trouble = error.what();
  }
  return RUN_ALL_TESTS();
}
