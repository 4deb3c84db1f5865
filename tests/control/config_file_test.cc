// Rows F01 and F04 of the catalogue for the files themselves: which are read, in which order, and whose they
// may be.
#include <chrono>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config.h"
#include "control/file_check.h"
#include "tests/control/config_text.h"
#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using tests::server;
using tests::whole;

class ConfigFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary) << text;
    return directory_ / name;
  }
  static std::string error_of_file(const std::filesystem::path& path) {
    try {
      static_cast<void>(read_config(path));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }
  tests::Scratch scratch_;
  const std::filesystem::path directory_ = scratch_.path();
};

TEST_F(ConfigFile, LaterFilesWinKeyByKey) {
  const auto base = write("base.toml", whole + "[clock]\nsource = 'local'\nstratum = 3\n");
  const std::vector<std::filesystem::path> overlays = {
      write("one.toml", "[clock]\nstratum = 4\n[server]\naddresses = ['192.0.2.1/24']\n"),
      write("two.toml", "[clock]\nstratum = 5\n[server]\naddresses = 'auto'\nntp_port = 4123\n")};
  const Config config = read_config(base, overlays);
  EXPECT_EQ(config.clock.stratum, 5U);
  EXPECT_EQ(config.clock.source, ClockSource::local);
  EXPECT_TRUE(config.server.addresses_automatic);
  EXPECT_TRUE(config.server.addresses.empty());
  EXPECT_EQ(config.server.ntp_port, 4123);
  const std::vector<std::filesystem::path> broken = {write("three.toml", "[clock]\n\nstratum = 0\n")};
  try {
    static_cast<void>(read_config(base, broken));
    ADD_FAILURE() << "an overlay with a wrong value was taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), StartsWith((directory_ / "three.toml").native() + ":3:11: [clock] stratum"));
  }
}

TEST_F(ConfigFile, F01_RefusesWhatIsNoRegularFileAtOnce) {
  const auto started = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of_file(directory_ / "none.toml"), HasSubstr("none.toml:0:0: cannot open it"));
  EXPECT_THAT(error_of_file(directory_), HasSubstr("no regular file"));
  ASSERT_EQ(::mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(error_of_file(directory_ / "fifo"), HasSubstr("no regular file"));
  EXPECT_THAT(error_of_file("/dev/zero"), HasSubstr("no regular file"));
  EXPECT_THAT(error_of_file(write("empty.toml", "")), HasSubstr("empty.toml:1:1: the file is empty"));
  const auto huge = write("huge.toml", "");
  std::filesystem::resize_file(huge, std::uintmax_t{1} << 30);
  EXPECT_THAT(error_of_file(huge), HasSubstr("larger than 1048576 octets"));
  std::filesystem::resize_file(huge, (1 << 20) + 1);
  EXPECT_THAT(error_of_file(huge), HasSubstr("larger than 1048576 octets"));
  std::filesystem::resize_file(huge, 1 << 20);
  EXPECT_THAT(error_of_file(huge), HasSubstr("huge.toml:1:1: there is a NUL octet"));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(10));  // it ends at all
}

TEST_F(ConfigFile, F04_RefusesFilesThatOthersMayWriteAndRelativePaths) {
  const auto file = write("c.toml", whole);
  EXPECT_EQ(error_of_file(file), "");
  ASSERT_EQ(::chmod(file.c_str(), 0646), 0);
  EXPECT_THAT(error_of_file(file), HasSubstr("anybody may write it; "));
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory_);
  EXPECT_THAT(error_of_file("c.toml"), HasSubstr("relative"));
  std::filesystem::current_path(before);
}

TEST_F(ConfigFile, F04_RefusesKeyMaterialThatOthersCanReach) {
  const uid_t own = ::geteuid();
  const gid_t group = ::getegid();
  const auto error_of_key = [&](const std::filesystem::path& path) -> std::string {
    try {
      require_secret_file(path, own, group);
    } catch (const FileError& error) {
      return error.what();
    }
    return "";
  };
  const auto key = write("key.pem", "secret\n");
  for (const mode_t good : {0600U, 0400U, 0640U}) {
    ASSERT_EQ(::chmod(key.c_str(), good), 0);
    EXPECT_EQ(error_of_key(key), "") << std::oct << good;
  }
  for (const mode_t bad : {0604U, 0602U, 0601U, 0620U, 0660U, 0644U, 0666U}) {
    ASSERT_EQ(::chmod(key.c_str(), bad), 0);
    EXPECT_THAT(error_of_key(key), HasSubstr("chmod")) << std::oct << bad;
  }
  ASSERT_EQ(::chmod(key.c_str(), 0600), 0);
  std::filesystem::create_symlink(key, directory_ / "link.pem");
  EXPECT_THAT(error_of_key(directory_ / "link.pem"), HasSubstr("symbolic link"));
  EXPECT_THAT(error_of_key(directory_), HasSubstr("no regular file"));
  EXPECT_THAT(error_of_key(directory_ / "none.pem"), HasSubstr("cannot look at it"));
  if (own != 0) GTEST_SKIP() << "owners other than oneself need root";
  ASSERT_EQ(::chown(key.c_str(), 62103, 62103), 0);
  EXPECT_THAT(error_of_key(key), HasSubstr("it belongs to uid 62103"));
  // A root-owned key that the reader's group may read is how packaged certificates are kept.
  ASSERT_EQ(::chown(key.c_str(), 0, 62102), 0);
  EXPECT_THROW(require_secret_file(key, 62102, 62102), FileError);
  ASSERT_EQ(::chmod(key.c_str(), 0640), 0);
  EXPECT_NO_THROW(require_secret_file(key, 62102, 62102));
  ASSERT_EQ(::chown(key.c_str(), 0, 62103), 0);
  EXPECT_THROW(require_secret_file(key, 62102, 62102), FileError);
}

}  // namespace
}  // namespace control
