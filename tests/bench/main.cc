// As in tests/dataplane/main.cc: one EAL for the program, and tests that say why they are skipped.
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
