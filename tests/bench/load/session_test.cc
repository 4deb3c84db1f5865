#include "bench/load/session.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace bench::load {
namespace {

TEST(LoadSession, AFileGivesBackWhatWasWrittenAndIsRefusedWhenOthersMayReadIt) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("load_session_" + std::to_string(getpid()));
  Session session;
  session.c2s.fill(0xc2);
  session.s2c.fill(0x52);
  session.cookies = {std::vector<std::uint8_t>(100, 0xab), std::vector<std::uint8_t>(100, 0xcd)};
  write_session(file, session);
  const Session read = read_session(file);
  EXPECT_EQ(read.c2s, session.c2s);
  EXPECT_EQ(read.s2c, session.s2c);
  EXPECT_EQ(read.cookies, session.cookies);
  ASSERT_EQ(chmod(file.c_str(), 0644), 0);
  EXPECT_THROW(static_cast<void>(read_session(file)), SessionError);
  ASSERT_EQ(chmod(file.c_str(), 0600), 0);
  std::ofstream(file) << "c2s 00\n";
  EXPECT_THROW(static_cast<void>(read_session(file)), SessionError);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace bench::load
