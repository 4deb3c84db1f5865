// Rows F01-F05 of the catalogue: what the parser must take, and what it must refuse with a place and a
// remedy.

#include "control/config.h"

#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/file_check.h"
#include "nts/siv/siv.h"

namespace control {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

const std::string server = "[server]\nname = \"time.example.net\"\n";
const std::string dataplane = "[dataplane]\ndevices = [\"af_packet:eth0\"]\n";
const std::string nts_ke = "[nts_ke]\ncertificate = \"/c.pem\"\nprivate_key = \"/k.pem\"\n";
const std::string whole = server + dataplane + nts_ke;

std::string error_of(const std::string& text) {
  try {
    static_cast<void>(parse_config(text, "t.toml"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

// The whole example with one more line in one section.
std::string with(const std::string& section, const std::string& line) {
  std::string text = whole;
  const std::string heading = "[" + section + "]\n";
  const std::size_t at = text.find(heading);
  if (at == std::string::npos) return text + heading + line + "\n";
  return text.insert(at + heading.size(), line + "\n");
}

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string form = "/tmp/noonmark-config-test-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    directory_ = form;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

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
  std::filesystem::path directory_;
};

TEST(ParseConfig, TakesTheShortestFileAndGivesTheDefaults) {
  const Config config = parse_config(whole, "t.toml");
  EXPECT_EQ(config.server.name, "time.example.net");
  EXPECT_TRUE(config.server.addresses_automatic);
  EXPECT_EQ(config.server.ntp_port, 123);
  EXPECT_EQ(config.nts_ke.port, 4460);
  EXPECT_EQ(config.keys.retention_s, 14U * 86400U);
  EXPECT_EQ(config.paths.pages, "/run/noonmark");
}

TEST(ParseConfig, ReadsEveryOption) {
  const Config config = parse_config(
      "[server]\nname = 'a.example'\naddresses = ['192.0.2.1/24', '2001:db8::1/64']\nntp_port = 4123\n"
      "answer_plain = false\nanswer_nts = true\n"
      "[dataplane]\ndevices = ['vdev:net_null0', 'af_packet:nm-srv']\ncores = [0, 1]\nmemory = 'ordinary'\n"
      "siv_tier = 'portable_x4'\ndeparture_ns = 7000\n"
      "[nts_ke]\nlisten = ['::1']\nport = 4443\ncertificate = '/c'\nprivate_key = '/k'\nntp_server = "
      "'192.0.2.9'\n"
      "ntp_servers_ours = ['b.example', '2001:db8::2']\nworkers = 2\nconnections_max = 10\n"
      "connections_per_source_max = 5\ndeadline_ms = 1000\n"
      "[keys]\nfile = '/k/keys'\nretention_s = 3600\n"
      "[clock]\nsource = 'local'\nstratum = 3\nreference_id = 'LAB1'\nholdover_max_error_us = 500\ndrift_ppb "
      "= 100\n"
      "[paths]\npages = '/dev/shm/x'\n",
      "t.toml");
  EXPECT_FALSE(config.server.addresses_automatic);
  ASSERT_EQ(config.server.addresses.size(), 2U);
  EXPECT_EQ(config.server.addresses[0].family, 4);
  EXPECT_EQ(config.server.addresses[0].prefix_bits, 24);
  EXPECT_EQ(config.server.addresses[0].octets[0], 192);
  EXPECT_EQ(config.server.addresses[0].octets[3], 1);  // host bits are what an interface address is about
  EXPECT_EQ(config.server.addresses[1].family, 6);
  EXPECT_EQ(config.server.addresses[1].octets[15], 1);
  EXPECT_EQ(config.server.ntp_port, 4123);
  EXPECT_FALSE(config.server.answer_plain);
  EXPECT_EQ(config.dataplane.devices, (std::vector<std::string>{"vdev:net_null0", "af_packet:nm-srv"}));
  EXPECT_EQ(config.dataplane.cores, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(config.dataplane.memory, shm::Memory::ordinary);
  EXPECT_EQ(config.dataplane.siv_tier, "portable_x4");
  EXPECT_EQ(config.dataplane.departure_ns, 7000U);
  EXPECT_EQ(config.nts_ke.listen, std::vector<std::string>{"::1"});
  EXPECT_EQ(config.nts_ke.port, 4443);
  EXPECT_EQ(config.nts_ke.certificate, "/c");
  EXPECT_EQ(config.nts_ke.private_key, "/k");
  EXPECT_EQ(config.nts_ke.ntp_server, "192.0.2.9");
  EXPECT_EQ(config.nts_ke.ntp_servers_ours.size(), 2U);
  EXPECT_EQ(config.nts_ke.workers, 2U);
  EXPECT_EQ(config.nts_ke.connections_max, 10U);
  EXPECT_EQ(config.nts_ke.connections_per_source_max, 5U);
  EXPECT_EQ(config.nts_ke.deadline_ms, 1000U);
  EXPECT_EQ(config.keys.file, "/k/keys");
  EXPECT_EQ(config.keys.retention_s, 3600U);
  EXPECT_EQ(config.clock.source, ClockSource::local);
  EXPECT_EQ(config.clock.stratum, 3U);
  EXPECT_EQ(config.clock.reference_id, "LAB1");
  EXPECT_EQ(config.clock.holdover_max_error_us, 500U);
  EXPECT_EQ(config.clock.drift_ppb, 100U);
  EXPECT_EQ(config.paths.pages, "/dev/shm/x");
}

TEST(ParseConfig, F01_RefusesWhatIsNoPlainText) {
  EXPECT_THAT(error_of(""), StartsWith("t.toml:1:1: the file is empty; "));
  EXPECT_THAT(error_of("\xef\xbb\xbf" + whole),
              StartsWith("t.toml:1:1: the file starts with a byte order mark; "));
  EXPECT_THAT(error_of(server + std::string("ntp_port\0 = 1\n", 14)),
              StartsWith("t.toml:3:9: there is a NUL octet; "));
  EXPECT_THAT(error_of("[server]\r\nname = 'a'\r\n"), StartsWith("t.toml:1:9: there is a carriage return; "));
  EXPECT_THAT(error_of(whole.substr(0, whole.size() - 1)),
              StartsWith("t.toml:7:23: the last line has no end"));
  EXPECT_EQ(error_of(whole), "");
}

TEST(ParseConfig, F01_RefusesBrokenTomlWithOneLineAndThePlace) {
  EXPECT_THAT(error_of("[server\nname = 1\n"), StartsWith("t.toml:1:"));
  EXPECT_THAT(error_of("[server]\nname = \"a\n\"\n"), StartsWith("t.toml:2:"));
  EXPECT_THAT(error_of("[server]\nname = 'x' y\n"),
              MatchesRegex("t.toml:2:[0-9]+: [^\n]+; correct this line"));
  EXPECT_THAT(error_of("\xff\xfe\n"), StartsWith("t.toml:1:"));
}

TEST(ParseConfig, F02_NamesUnknownDuplicateAndMiscasedKeys) {
  EXPECT_THAT(error_of(with("server", "nmae = 'x'")),
              StartsWith("t.toml:2:1: [server] nmae is not an option; there are only name"));
  EXPECT_THAT(error_of(with("server", "Answer_NTS = true")),
              testing::Eq("t.toml:2:1: [server] Answer_NTS is not an option; write it as answer_nts"));
  EXPECT_THAT(error_of(with("server", "name = 'x'")), MatchesRegex("t.toml:[0-9]+:[0-9]+: .*name.*"));
  EXPECT_THAT(error_of(whole + server), MatchesRegex("t.toml:[0-9]+:[0-9]+: .*server.*"));
  EXPECT_THAT(error_of(whole + "[Paths]\n"), HasSubstr("[Paths] is not a section; write it as paths"));
  EXPECT_THAT(error_of("x = 1\n" + whole),
              StartsWith("t.toml:1:1: [x] is not a section; there are only server"));
  EXPECT_THAT(error_of("server = 1\n" + dataplane), StartsWith("t.toml:1:10: server is a section; "));
  EXPECT_THAT(error_of(whole + "[[clock]]\nsource = 'local'\n"), HasSubstr("clock is a section"));
}

TEST(ParseConfig, F02_RefusesEachWrongType) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"server", "answer_plain = 1"},   {"server", "answer_plain = 'true'"},
      {"server", "ntp_port = '123'"},   {"server", "ntp_port = 123.0"},
      {"server", "ntp_port = true"},    {"server", "ntp_port = 2026-01-01"},
      {"server", "ntp_port = []"},      {"server", "addresses = '192.0.2.1/24'"},
      {"server", "addresses = [1]"},    {"server", "addresses = {a = 1}"},
      {"server", "addresses = []"},     {"dataplane", "cores = 1"},
      {"dataplane", "cores = ['1']"},   {"dataplane", "memory = 1"},
      {"dataplane", "memory = 'Auto'"}, {"nts_ke", "listen = '0.0.0.0'"},
      {"nts_ke", "ntp_server = 1"},     {"keys", "file = 1"},
      {"clock", "source = 'gps'"},      {"clock", "source = ''"},
      {"paths", "pages = ['/x']"},      {"paths", "pages = true"},
  };
  for (const auto& [section, line] : wrong) {
    SCOPED_TRACE(line);
    const std::string key = "[" + section + "] " + line.substr(0, line.find(' '));
    EXPECT_THAT(error_of(with(section, line)), MatchesRegex("t.toml:[0-9]+:[0-9]+: .*; .*"));
    EXPECT_THAT(error_of(with(section, line)), HasSubstr(key));
  }
}

struct Number {
  std::string section, key;
  std::int64_t lowest, highest;
  std::string before = "", after = "";
};

TEST(ParseConfig, F03_RefusesEachNumberOutsideItsRangeAndTakesItsEdges) {
  const std::vector<Number> numbers = {
      {"server", "ntp_port", 1, 65535},
      {"dataplane", "departure_ns", 0, 10'000'000},
      {"dataplane", "cores", 0, 1023, "[", "]"},
      {"nts_ke", "port", 1, 65535},
      {"nts_ke", "workers", 1, 16},
      {"nts_ke", "connections_max", 64, 65536},  // below 64 it is at odds with the per-source default
      {"nts_ke", "connections_per_source_max", 1, 2048},
      {"nts_ke", "deadline_ms", 100, 60'000},
      {"keys", "retention_s", 1, 3653LL * 86400},
      {"clock", "stratum", 1, 15},
      {"clock", "holdover_max_error_us", 1, 16'000'000},
      {"clock", "drift_ppb", 1, 500'000},
  };
  for (const Number& number : numbers) {
    const auto line = [&](const std::string& value) {
      return with(number.section, number.key + " = " + number.before + value + number.after);
    };
    EXPECT_EQ(error_of(line(std::to_string(number.lowest))), "") << number.key;
    EXPECT_EQ(error_of(line(std::to_string(number.highest))), "") << number.key;
    std::vector<std::string> wrong = {"-1",
                                      std::to_string(number.lowest - 1),
                                      std::to_string(number.highest + 1),
                                      "4294967296",
                                      "4294967297",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "nan",
                                      "inf",
                                      "-inf",
                                      "1e999",
                                      "1e2",
                                      "\"\"",
                                      "''"};
    if (number.lowest > 0) wrong.push_back("0");
    for (const std::string& value : wrong) {
      SCOPED_TRACE(number.key + " = " + value);
      EXPECT_THAT(error_of(line(value)), MatchesRegex("t.toml:[0-9]+:[0-9]+: [^\n]+; [^\n]+"));
    }
  }
}

TEST(ParseConfig, TakesTheNameOfEveryTierAndTheNameThatMeansTheBest) {
  for (const nts::siv::Kernels* tier : nts::siv::all_tiers()) {
    const std::string line = std::string("siv_tier = '") + tier->name + "'";
    EXPECT_EQ(parse_config(with("dataplane", line), "t.toml").dataplane.siv_tier, tier->name);
  }
  EXPECT_EQ(parse_config(with("dataplane", "siv_tier = 'auto'"), "t.toml").dataplane.siv_tier, "");
  for (const std::string wrong : {"vaes512-x16", "vaes512 x16", "AVX/512"}) {
    EXPECT_THAT(error_of(with("dataplane", "siv_tier = '" + wrong + "'")), HasSubstr("name of a tier"));
  }
}

TEST(ParseConfig, F03_RefusesEmptyTexts) {
  for (const auto& [section, key] :
       std::vector<std::pair<std::string, std::string>>{{"dataplane", "siv_tier"},
                                                        {"dataplane", "memory"},
                                                        {"nts_ke", "ntp_server"},
                                                        {"keys", "file"},
                                                        {"clock", "reference_id"},
                                                        {"paths", "pages"}}) {
    SCOPED_TRACE(key);
    EXPECT_THAT(error_of(with(section, key + " = \"\"")), HasSubstr("[" + section + "] " + key));
  }
}

TEST(ParseConfig, F04_RefusesRelativeAndClimbingPaths) {
  for (const auto& [section, key] :
       std::vector<std::pair<std::string, std::string>>{{"keys", "file"}, {"paths", "pages"}}) {
    for (const std::string path : {"x", "./x", "../x", "/a/../b", "/..", "~/x"}) {
      SCOPED_TRACE(key + " " + path);
      EXPECT_THAT(
          error_of(with(section, key + " = '" + path + "'")),
          MatchesRegex("t.toml:[0-9]+:[0-9]+: .*(relative; write it from / on|climbs with '..'; .*)"));
    }
    EXPECT_EQ(error_of(with(section, key + " = '/a/b..c/..d'")), "");
  }
  EXPECT_THAT(error_of(server + dataplane + "[nts_ke]\ncertificate = 'c.pem'\nprivate_key = '/k'\n"),
              HasSubstr("[nts_ke] certificate"));
  EXPECT_THAT(error_of(server + dataplane + "[nts_ke]\ncertificate = '/c'\nprivate_key = '/x/../k'\n"),
              HasSubstr("[nts_ke] private_key"));
  EXPECT_EQ(error_of(with("paths", "pages = '/" + std::string(79, 'p') + "'")), "");
  EXPECT_THAT(error_of(with("paths", "pages = '/" + std::string(80, 'p') + "'")), HasSubstr("too long"));
}

TEST(ParseConfig, F05_ReadsAddressesExactly) {
  const auto addresses = [](const std::string& list) {
    return error_of(with("server", "addresses = " + list));
  };
  for (const std::string good :
       {"192.0.2.1/24", "192.0.2.255/1", "192.0.2.1/32", "127.0.0.1/8", "2001:db8::1/128", "2001:db8::/1",
        "::1/128", "fe80::1/64", "223.255.255.255/32"}) {
    EXPECT_EQ(addresses("['" + good + "']"), "") << good;
  }
  for (const std::string bad : {"192.0.2.1",
                                "192.0.2.1/",
                                "192.0.2.1/0",
                                "192.0.2.1/33",
                                "192.0.2.1/-1",
                                "192.0.2.1/+1",
                                "192.0.2.1/024",
                                "192.0.2.1/24 ",
                                "192.0.2.1/2 4",
                                "192.0.2/24",
                                "192.0.2.01/24",
                                "192.0.2.256/24",
                                "1/24",
                                "0x7f.0.0.1/8",
                                "2001:db8::1/129",
                                "2001:db8::1/0",
                                "2001:db8::1%eth0/64",
                                "::ffff:192.0.2.1/96",
                                "::/64",
                                "0.0.0.0/8",
                                "224.0.1.1/32",
                                "255.255.255.255/32",
                                "ff02::1/16",
                                "a.example/24",
                                "/24",
                                ""}) {
    EXPECT_THAT(addresses("['" + bad + "']"), HasSubstr("[server] addresses[0]")) << bad;
  }
  EXPECT_THAT(addresses("['192.0.2.1/24', '192.0.2.1/25']"), HasSubstr("addresses[1]: it stands here twice"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += "'10.0.0." + std::to_string(i + 1) + "/24',";
  EXPECT_THAT(addresses("[" + many + "]"), HasSubstr("it has 65 elements; give from 1 to 64"));
}

TEST(ParseConfig, ReadsNamesAndDevicesWithinTheirBounds) {
  const auto name = [](const std::string& text) {
    return error_of("[server]\nname = '" + text + "'\n" + dataplane + nts_ke);
  };
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + label;  // 255 octets
  for (const std::string& good :
       {std::string("a"), std::string("time.example.net."), std::string("192.0.2.1"),
        std::string("2001:db8::1"), std::string("xn--zeit-9qa.example"), longest}) {
    EXPECT_EQ(name(good), "") << good;
  }
  for (const std::string& bad :
       {std::string(""), std::string("a b"), std::string("-a"), std::string("a-"), std::string("a..b"),
        std::string(".a"), std::string("."), std::string("a_b"), std::string("1.2.3"),
        std::string("999.1.1.1"), label + "a", longest + "."}) {
    EXPECT_THAT(name(bad), HasSubstr("[server] name")) << bad;
  }
  const auto device = [](const std::string& text) {
    return error_of(server + "[dataplane]\ndevices = ['" + text + "']\n" + nts_ke);
  };
  for (const std::string good : {"af_packet:eth0", "af_packet:123456789012345", "af_xdp:eth0",
                                 "vdev:net_pcap0,rx_pcap=/a,tx_pcap=/b"}) {
    EXPECT_EQ(device(good), "") << good;
  }
  for (const std::string bad :
       {"", "eth0", "af_packet:", "af_packet:1234567890123456", "af_packet:a/b", "af_packet:eth0,x=1",
        "vdev:a b", "vdev:", "pci:0000:3b:00.0", "af_xdp:", "af_xdp:a/b", "AF_PACKET:eth0"}) {
    EXPECT_THAT(device(bad), HasSubstr("[dataplane] devices[0]")) << bad;
  }
}

TEST(ParseConfig, AsksForWhatNobodyCanGuess) {
  EXPECT_THAT(error_of(dataplane + nts_ke), StartsWith("t.toml:0:0: [server] name is missing; "));
  EXPECT_THAT(error_of(server + nts_ke), StartsWith("t.toml:0:0: [dataplane] devices is missing; "));
  EXPECT_THAT(error_of(server + dataplane), StartsWith("t.toml:0:0: [nts_ke] certificate is missing; "));
  EXPECT_EQ(error_of(server + "answer_nts = false\n" + dataplane), "");
  EXPECT_THAT(error_of(with("server", "answer_nts = false\nanswer_plain = false")), HasSubstr("both false"));
  EXPECT_THAT(error_of(with("nts_ke", "connections_max = 63")), HasSubstr("larger than connections_max"));
}

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
