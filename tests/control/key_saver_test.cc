// Saving in a thread of its own.

#include "control/key_saver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "control/key_rotation.h"
#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::HasSubstr;

class KeySaverTest : public testing::Test {
 protected:
  void SetUp() override { make_first_ring(stored_, {0, 0}, 1); }

  // As the event loop does: wait for the descriptor, then take the outcome.
  std::string outcome(KeySaver& saver) {
    pollfd waiting{saver.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 10'000), 1);
    const std::optional<std::string> result = saver.result();
    EXPECT_TRUE(result);
    return result.value_or("no result");
  }
  std::uint64_t generation_on_disk() {
    StoredRing read{};
    return load_key_file(file_, read).loaded == Loaded::ring ? read.ring.generation : 0;
  }

  tests::Scratch scratch_;
  std::filesystem::path file_ = scratch_.path() / "keys";
  StoredRing stored_{};
};

TEST_F(KeySaverTest, SavesACopyAndSaysSoOnce) {
  KeySaver saver(file_);
  EXPECT_FALSE(saver.is_busy());
  EXPECT_FALSE(saver.result());
  saver.save(stored_);
  stored_.ring.generation = 99;  // the caller's own from here on
  EXPECT_TRUE(saver.is_busy());
  EXPECT_EQ(outcome(saver), "");
  EXPECT_FALSE(saver.is_busy());
  EXPECT_FALSE(saver.result());
  pollfd quiet{saver.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&quiet, 1, 0), 0) << "a result that was taken wakes nobody";
  EXPECT_EQ(generation_on_disk(), 1U);
}

TEST_F(KeySaverTest, SaysWhatFailedAndCanTryAgain) {
  KeySaver saver(file_);
  std::filesystem::create_directory(file_.native() + ".new");
  saver.save(stored_);
  EXPECT_THAT(outcome(saver), HasSubstr("cannot create"));
  EXPECT_EQ(generation_on_disk(), 0U);
  std::filesystem::remove(file_.native() + ".new");
  saver.save(stored_);
  EXPECT_EQ(outcome(saver), "");
  EXPECT_EQ(generation_on_disk(), 1U);
}

TEST_F(KeySaverTest, FinishesTheSaveUnderWayWhenItGoes) {
  for (std::uint64_t generation = 1; generation <= 20; ++generation) {
    stored_.ring.generation = generation;
    KeySaver(file_).save(stored_);
    EXPECT_EQ(generation_on_disk(), generation);
  }
}

using KeySaverDeathTest = KeySaverTest;

TEST_F(KeySaverDeathTest, ASecondSaveAtOnceIsAProgramError) {
  EXPECT_DEATH(
      {
        KeySaver saver(file_);
        saver.save(stored_);
        saver.save(stored_);
      },
      "");
}

}  // namespace
}  // namespace control
