// What `noonmark run` refuses to start with, and says why.

#include <gmock/gmock.h>

#include "control/launcher.h"
#include "tests/control/launcher_run.h"

namespace control {
namespace {

using testing::HasSubstr;

TEST_F(LauncherRun, F11_DirectoriesThatOthersHadAHandInAreRefused) {
  ASSERT_EQ(stop(start_and_wait()), 0);
  const fs::path pages = shared_ / "pages";
  const fs::path keeper = pages / "keeper";
  ASSERT_EQ(::chown(keeper.c_str(), 62105, 62101), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to 62105:62101 and not to 62101:62101"));
  ASSERT_EQ(::chown(keeper.c_str(), 62101, 62101), 0);
  ASSERT_EQ(::chmod(keeper.c_str(), 0777), 0);
  EXPECT_THAT(refusal(), HasSubstr("has mode 0777 and not 0755"));
  fs::remove_all(keeper);
  fs::create_directory_symlink("/tmp", keeper);
  EXPECT_THAT(refusal(), HasSubstr("is a symbolic link"));
  fs::remove(keeper);
  std::ofstream(keeper) << "";
  EXPECT_THAT(refusal(), HasSubstr("is in the way and no directory"));
  fs::remove(keeper);
  ASSERT_EQ(::chown(pages.c_str(), 62105, 62105), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to 62105:62105 and not to 0:0"));
  ASSERT_EQ(::chown(pages.c_str(), 0, 0), 0);
  EXPECT_EQ(stop(start_and_wait()), 0);
}

TEST_F(LauncherRun, F04_SecretsThatOthersCouldReadAreRefused) {
  const fs::path keys = directory_ / "state" / "keeper";
  fs::create_directories(keys);
  EXPECT_THAT(refusal(), HasSubstr("holds the keys and belongs to user 0"));
  ASSERT_EQ(::chown(keys.c_str(), 62101, 62101), 0);
  ASSERT_EQ(::chmod(keys.c_str(), 0750), 0);
  EXPECT_THAT(refusal(), HasSubstr("holds the keys and has mode 0750; chmod it to 0700"));
  ASSERT_EQ(::chmod(keys.c_str(), 0700), 0);
  ASSERT_EQ(::chmod((directory_ / "key.pem").c_str(), 0444), 0);
  EXPECT_THAT(refusal(), HasSubstr("key.pem: others than its owner may read or write it"));
  ASSERT_EQ(::chmod((directory_ / "key.pem").c_str(), 0400), 0);
  EXPECT_EQ(stop(start_and_wait()), 0);
}

TEST_F(LauncherRun, PagesAwayFromTmpfsAreRefused) {
  struct statfs status {};
  ASSERT_EQ(::statfs(directory_.c_str(), &status), 0);
  if (status.f_type == TMPFS_MAGIC) GTEST_SKIP() << "/tmp is a tmpfs here";
  options_.pages = directory_ / "pages";
  EXPECT_THAT(refusal(), HasSubstr("is not on a tmpfs"));
}

TEST_F(LauncherRun, ProgramsThatARoleCannotReachAreRefused) {
  ASSERT_EQ(::chmod((directory_ / "bin").c_str(), 0700), 0);
  EXPECT_THAT(refusal(), HasSubstr("bin: may not be entered by every user"));
  ASSERT_EQ(::chmod((directory_ / "bin").c_str(), 0755), 0);
  ASSERT_EQ(::chmod((directory_ / "bin" / "noonmark-dataplane").c_str(), 0750), 0);
  EXPECT_THAT(refusal(), HasSubstr("noonmark-dataplane: is no program that every user may run"));
  fs::remove(directory_ / "bin" / "noonmark-dataplane");
  EXPECT_THAT(refusal(), HasSubstr("noonmark-dataplane: cannot be found"));
}

}  // namespace
}  // namespace control
