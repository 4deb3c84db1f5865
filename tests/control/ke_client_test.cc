// The NTS-KE client over real TCP on loopback, against a server that behaves, and against those that do not.
#include "control/ke_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/control/loopback_server.h"

namespace {

using control::KeAgreement;
using control::KeQuestion;
using testing::HasSubstr;
using tests::Behaviour;
using tests::Certificates;
using tests::LoopbackServer;
using tests::Octets;
using Ke = Behaviour::Ke;

// A machine that computes what nobody asked for wrongly is none of the caller's business, nor is the time it
// takes.
TEST(KernelsFor, HasThoseOfTheAeadsThatAreOfferedAndNoOthers) {
  using nts::AeadRow;
  const auto rows_of = [](const std::vector<std::uint16_t>& aeads) {
    const nts::AeadKernels kernels = control::kernels_for(aeads);
    std::vector<std::uint16_t> has;
    for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
      if (kernels.has(static_cast<AeadRow>(row))) has.push_back(nts::aeads[row].number);
    }
    return has;
  };
  using testing::UnorderedElementsAre;
  EXPECT_THAT(rows_of({30, 15}), UnorderedElementsAre(15, 30));
  EXPECT_THAT(rows_of({15}), UnorderedElementsAre(15));
  EXPECT_THAT(rows_of({16}), UnorderedElementsAre(15, 16)) << "15 is what every cookie of ours is made with";
  EXPECT_THAT(rows_of({17}), UnorderedElementsAre(15, 17));
}

class KeClientTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { certificates = new Certificates; }
  static void TearDownTestSuite() { delete certificates; }
  void SetUp() override { ASSERT_TRUE(certificates->made()) << "the openssl command makes the certificates"; }

  // The agreement, or null with the fault in fault_.
  std::unique_ptr<KeAgreement> ask(KeQuestion question, const char* ca = "ca.pem") {
    boost::asio::io_context io(1);
    std::unique_ptr<KeAgreement> agreement;
    fault_.clear();
    boost::asio::co_spawn(
        io,
        control::agree_on_keys(control::TlsContext::for_client(certificates->file(ca)), std::move(question)),
        [&](std::exception_ptr failure, std::unique_ptr<KeAgreement> agreed) {
          agreement = std::move(agreed);
          try {
            if (failure) std::rethrow_exception(failure);
          } catch (const control::PeerError& error) {
            fault_ = error.what();
          }
        });
    io.run();
    EXPECT_EQ(agreement == nullptr, !fault_.empty());
    return agreement;
  }

  // What the client says of a server that behaves like this.
  std::string fault_of(Behaviour behaviour, KeQuestion question = {.host = "127.0.0.1"}) {
    const LoopbackServer server(*certificates, std::move(behaviour));
    question.port = server.ke_port();
    EXPECT_EQ(ask(std::move(question)), nullptr);
    return fault_;
  }

  static Octets records(std::initializer_list<Octets> parts) {
    Octets all;
    for (const Octets& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  static Octets record(std::uint16_t type, const Octets& body) {
    Octets whole(4 + body.size());
    nts::store_u16(whole.data(), type);
    nts::store_u16(whole.data() + 2, static_cast<std::uint16_t>(body.size()));
    std::copy(body.begin(), body.end(), whole.begin() + 4);
    return whole;
  }
  static inline const Octets ntpv4{0x80, 1, 0, 2, 0, 0};
  static inline const Octets aead_15{0x80, 4, 0, 2, 0, 15};
  static inline const Octets end{0x80, 0, 0, 0};

  static inline Certificates* certificates = nullptr;
  std::string fault_;
};

TEST_F(KeClientTest, TakesKeysAndCookiesByNameAndByAddress) {
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const LoopbackServer server(*certificates, {});
    ASSERT_TRUE(server.is_up());
    const auto agreement = ask({.host = host, .port = server.ke_port(), .family = AF_INET});
    ASSERT_NE(agreement, nullptr) << fault_;
    EXPECT_EQ(agreement->address.to_string(), "127.0.0.1");
    EXPECT_EQ(agreement->tls.version, "TLSv1.3");
    EXPECT_EQ(agreement->tls.subject, "CN = time.test");
    EXPECT_GT(agreement->tls.expires_unix_s, std::time(nullptr));
    EXPECT_EQ(agreement->aead, 15);
    EXPECT_EQ(agreement->cookies, 8U);
    EXPECT_EQ(agreement->cookie_bytes, 100U);
    EXPECT_EQ(agreement->session.cookies.count(), 8U);
    EXPECT_EQ(agreement->ntp_server, "");
    EXPECT_EQ(agreement->ntp_port, server.ntp_port());
    EXPECT_FALSE(std::ranges::equal(agreement->session.c2s.bytes(), agreement->session.s2c.bytes()));
  }
}

TEST_F(KeClientTest, TakesKeysOverIpv6) {
  const LoopbackServer server(*certificates, {.address = "::1"});
  if (!server.is_up()) GTEST_SKIP() << "this machine has no IPv6 loopback";
  const auto agreement = ask({.host = "::1", .port = server.ke_port()});
  ASSERT_NE(agreement, nullptr) << fault_;
  EXPECT_EQ(agreement->address.to_string(), "::1");
}

TEST_F(KeClientTest, TriesTheOtherAddressesOfAName) {
  const LoopbackServer server(*certificates, {});  // on 127.0.0.1 only; localhost is often ::1 first
  const auto agreement = ask({.host = "localhost", .port = server.ke_port()});
  ASSERT_NE(agreement, nullptr) << fault_;
  EXPECT_EQ(agreement->address.to_string(), "127.0.0.1");
}

TEST_F(KeClientTest, P08_P09_HearsWhichNtpServerToAsk) {
  const LoopbackServer server(
      *certificates,
      {.policy = {.aeads = {15}, .ntp_port = 4123, .ntp_server = "ntp.time.test", .ntp_servers_ours = {}}});
  const auto agreement = ask({.host = "127.0.0.1", .port = server.ke_port()});
  ASSERT_NE(agreement, nullptr) << fault_;
  EXPECT_EQ(agreement->ntp_server, "ntp.time.test");
  EXPECT_EQ(agreement->ntp_port, 4123);
}

TEST_F(KeClientTest, RefusesACertificateAndSaysWhatIsWrongWithIt) {
  const LoopbackServer server(*certificates, {.address = "127.0.0.3"});
  EXPECT_EQ(ask({.host = "127.0.0.3", .port = server.ke_port()}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("certificate of CN = time.test was refused: IP address mismatch"));
  EXPECT_THAT(fault_, HasSubstr("not for \"127.0.0.3\""));

  const LoopbackServer usual(*certificates, {});
  EXPECT_EQ(ask({.host = "127.0.0.1", .port = usual.ke_port()}, "other-ca.pem"), nullptr);
  EXPECT_THAT(fault_, HasSubstr("unable to get local issuer certificate; it was issued by CN = ca"));

  EXPECT_THAT(fault_of({.certificate = "expired.pem"}), HasSubstr("certificate has expired (it ends "));
}

TEST_F(KeClientTest, D12_TellsTheServersErrorInWords) {
  const std::vector<std::pair<std::uint8_t, const char*>> cases = {
      {0, "error 0: it does not know a record"},
      {1, "error 1: it takes our request for a bad one"},
      {2, "error 2: something is wrong inside the server"},
      {9, "error 9, which RFC 8915 does not define"}};
  for (const auto& [code, words] : cases) {
    EXPECT_THAT(fault_of({.ke_reply = records({{0x80, 2, 0, 2, 0, code}, end})}), HasSubstr(words));
  }
}

TEST_F(KeClientTest, RefusesRepliesThatCannotBeUsedAndSaysWhy) {
  const auto with = [](const Octets& reply) { return Behaviour{.ke_reply = reply}; };
  EXPECT_THAT(fault_of(with(records({ntpv4, aead_15, end}))), HasSubstr("holds no cookie"));
  EXPECT_THAT(fault_of(with(records({ntpv4, {0x80, 4, 0, 0}, end}))), HasSubstr("none of the AEAD"));
  EXPECT_THAT(fault_of(with(records({ntpv4, {0x80, 4, 0, 2, 0, 16}, record(5, Octets(132)), end}))),
              HasSubstr("was not offered"));
  EXPECT_THAT(fault_of(with(records({{0x80, 1, 0, 0}, end}))), HasSubstr("does not offer NTPv4"));
  EXPECT_THAT(fault_of(with(records({ntpv4, aead_15, record(5, Octets(100))}))),
              HasSubstr("ended the conversation before its reply was whole"));
  EXPECT_THAT(fault_of(with({})), HasSubstr("ended the conversation before its reply was whole"));
  EXPECT_THAT(fault_of(with(Octets(6000, 0x10))), HasSubstr("does not end with End of Message"));
  for (const std::size_t bytes : {8U, 13U, 260U}) {
    EXPECT_THAT(fault_of(with(records({ntpv4, aead_15, record(5, Octets(bytes)), end}))),
                HasSubstr("none of its cookies can be sent back: they have " + std::to_string(bytes)));
  }
}

TEST_F(KeClientTest, TakesOtherServersCookiesOfAnyUsableLengthAndLeavesTheSurplus) {
  for (const std::size_t bytes : {12U, 96U, 104U, 256U}) {
    Octets reply = records({ntpv4, aead_15});
    for (int i = 0; i < 10; ++i) reply = records({reply, record(5, Octets(bytes, 1))});
    const LoopbackServer server(*certificates, {.ke_reply = records({reply, end})});
    const auto agreement = ask({.host = "127.0.0.1", .port = server.ke_port()});
    ASSERT_NE(agreement, nullptr) << fault_;
    EXPECT_EQ(agreement->cookies, 8U);
    EXPECT_EQ(agreement->cookie_bytes, bytes);
  }
}

TEST_F(KeClientTest, GivesUpAtTheDeadlineAndSaysAtWhichStep) {
  const KeQuestion hasty{.host = "127.0.0.1", .deadline = std::chrono::milliseconds(150)};
  EXPECT_THAT(fault_of({.ke = Ke::say_nothing}, hasty),
              HasSubstr("no answer within 150 ms, in the TLS handshake"));
  EXPECT_THAT(fault_of({.ke = Ke::trickle}, hasty), HasSubstr("150 ms, in the TLS handshake"));
  EXPECT_THAT(fault_of({.ke = Ke::stall_after_handshake}, hasty), HasSubstr("150 ms, waiting for the reply"));
}

TEST_F(KeClientTest, SaysWhenNothingListensAndWhenNoTlsIsSpoken) {
  std::uint16_t gone = 0;
  {
    const LoopbackServer server(*certificates, {});
    gone = server.ke_port();
  }
  EXPECT_EQ(ask({.host = "127.0.0.1", .port = gone}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("127.0.0.1 port " + std::to_string(gone) + ": connection refused"));
  EXPECT_EQ(ask({.host = "localhost", .port = gone, .family = AF_INET}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("localhost (127.0.0.1) port "));
  EXPECT_THAT(fault_of({.ke = Ke::speak_plain_text}), HasSubstr("does not complete a TLS handshake"));
  EXPECT_THAT(fault_of({.ke = Ke::close_at_once}), HasSubstr("closed the connection in the TLS handshake"));
}

TEST_F(KeClientTest, SaysWhenANameHasNoAddressOfTheFamilyAsked) {
  EXPECT_EQ(ask({.host = "no..such..name"}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("no..such..name: the name has no address"));
  EXPECT_EQ(ask({.host = "127.0.0.1", .family = AF_INET6}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("is no IPv6 address"));
  EXPECT_EQ(ask({.host = "::1", .family = AF_INET}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("is no IPv4 address"));
}

// OpenSSL's own server, which speaks no ntske/1: what a web server on the wrong port looks like.
class ForeignServer {
 public:
  ForeignServer(const Certificates& certificates, const char* version) {
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) return;
    const std::string certificate = certificates.file("server.pem"), key = certificates.file("key.pem");
    std::vector<const char*> arguments = {"openssl",     "s_server",  "-www",  "-accept",
                                          "127.0.0.1:0", version,     "-cert", certificate.c_str(),
                                          "-key",        key.c_str(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    ::posix_spawnp(&pid_, "openssl", &actions, nullptr, const_cast<char**>(arguments.data()), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    std::string line;
    for (char letter = 0; ::read(out[0], &letter, 1) == 1;) {
      line = letter == '\n' && line.find("ACCEPT") == std::string::npos ? "" : line + letter;
      if (line.starts_with("ACCEPT") && letter == '\n') break;
    }
    output_ = control::Descriptor(out[0]);
    port_ = static_cast<std::uint16_t>(std::atoi(line.substr(line.rfind(':') + 1).c_str()));
  }
  ~ForeignServer() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  ForeignServer(const ForeignServer&) = delete;
  ForeignServer& operator=(const ForeignServer&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  pid_t pid_ = -1;
  control::Descriptor output_;
  std::uint16_t port_ = 0;
};

TEST_F(KeClientTest, P01_RefusesAServerWithoutNtskeAndOneWithoutTls13) {
  const ForeignServer web(*certificates, "-tls1_3");
  ASSERT_NE(web.port(), 0);
  EXPECT_EQ(ask({.host = "127.0.0.1", .port = web.port()}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("speaks TLS but not NTS-KE"));
  const ForeignServer old(*certificates, "-tls1_2");
  EXPECT_EQ(ask({.host = "127.0.0.1", .port = old.port()}), nullptr);
  EXPECT_THAT(fault_, HasSubstr("does not speak TLS 1.3"));
}

}  // namespace
