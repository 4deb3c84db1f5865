// The table "Processes and pages" of DESIGN.md, tried from inside: each role in its sandbox, in a process of
// its own, reaching for what it must not have. Rows T12 and T13 of the catalogue.

#include "control/sandbox.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <gmock/gmock.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <cap-ng.h>

namespace control {
namespace {

using testing::HasSubstr;

constexpr std::array roles = {Role::keeper, Role::ke, Role::clock, Role::upstream, Role::admin};
constexpr int allowed = 0;
constexpr int test_is_broken = 255;

void become(uid_t uid, gid_t gid) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0)
    ::_exit(test_is_broken);
}

// The errno of `attempt`, made as `role` in its sandbox; 0 when it was allowed. Whoever started the role was
// careless: it still has every capability, and may be dumped.
int errno_of(Role role, const std::function<long()>& attempt, const Config& config = {}) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    become(identity_of(role).uid, identity_of(role).gid);
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    try {
      require_identity(role);
      enter_sandbox(role, config);
    } catch (const std::exception& error) {
      ::perror(error.what());
      ::_exit(test_is_broken);
    }
    errno = 0;
    const long result = attempt();
    ::_exit(result >= 0 ? allowed : errno == 0 ? test_is_broken - 1 : errno);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  const int code = WEXITSTATUS(status);
  EXPECT_NE(code, test_is_broken);
  return code;
}

int errno_of_socket(Role role, int family, int type) {
  return errno_of(role, [=] { return ::socket(family, type, 0); });
}

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become the roles' users";
  }
};

TEST_F(Sandbox, KeeperAndClockOpenNoNetworkSocket) {
  for (const Role role : {Role::keeper, Role::clock}) {
    SCOPED_TRACE(identity_of(role).name);
    EXPECT_EQ(errno_of_socket(role, AF_INET, SOCK_STREAM), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_INET, SOCK_DGRAM), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_INET6, SOCK_DGRAM), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_PACKET, SOCK_RAW), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_NETLINK, SOCK_RAW), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_VSOCK, SOCK_STREAM), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_UNSPEC, SOCK_STREAM), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_UNIX, SOCK_SEQPACKET), allowed);
  }
}

// The one exception: connections to gpsd, in the family of its address, and only where one is configured.
TEST_F(Sandbox, ClockOpensConnectionsInTheFamilyOfItsGpsdAndNothingElse) {
  for (const bool is_ipv6 : {false, true}) {
    SCOPED_TRACE(is_ipv6);
    Config config;
    config.clock.source = ClockSource::gnss;
    config.gnss.gpsd = GpsdAddress{is_ipv6 ? "::1" : "127.0.0.1", 2947};
    const int ours = is_ipv6 ? AF_INET6 : AF_INET;
    const int other = is_ipv6 ? AF_INET : AF_INET6;
    const auto socket = [&config](Role role, int family, int type) {
      return errno_of(
          role, [=] { return ::socket(family, type, 0); }, config);
    };
    EXPECT_EQ(socket(Role::clock, ours, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC), allowed);
    EXPECT_EQ(socket(Role::clock, other, SOCK_STREAM), EACCES);
    for (const int type :
         {int{SOCK_DGRAM}, int{SOCK_RAW}, int{SOCK_SEQPACKET}, int{SOCK_DCCP}, SOCK_DGRAM | SOCK_NONBLOCK}) {
      EXPECT_EQ(socket(Role::clock, ours, type), EACCES) << type;
    }
    for (const int protocol : {0, int{IPPROTO_TCP}, 1, int{IPPROTO_SCTP}, 262 /* MPTCP */}) {
      const auto stream = [=] { return ::socket(ours, SOCK_STREAM, protocol); };
      EXPECT_EQ(errno_of(Role::clock, stream, config),
                protocol == 0 || protocol == IPPROTO_TCP ? allowed : EACCES)
          << protocol;
    }
    EXPECT_EQ(socket(Role::clock, AF_PACKET, SOCK_RAW), EACCES);
    EXPECT_EQ(socket(Role::clock, AF_UNIX, SOCK_DGRAM), allowed);
    EXPECT_EQ(socket(Role::keeper, ours, SOCK_STREAM), EACCES);
    config.clock.source = ClockSource::system;
    EXPECT_EQ(socket(Role::clock, ours, SOCK_STREAM), EACCES) << "nobody asks that gpsd";
  }
}

TEST_F(Sandbox, AdminHasUnixAndNetlinkOnly) {
  EXPECT_EQ(errno_of_socket(Role::admin, AF_UNIX, SOCK_SEQPACKET), allowed);
  EXPECT_EQ(errno_of_socket(Role::admin, AF_NETLINK, SOCK_RAW), allowed);
  EXPECT_EQ(errno_of_socket(Role::admin, AF_INET, SOCK_STREAM), EACCES);
  EXPECT_EQ(errno_of_socket(Role::admin, AF_INET6, SOCK_DGRAM), EACCES);
  EXPECT_EQ(errno_of_socket(Role::admin, AF_PACKET, SOCK_RAW), EACCES);
}

TEST_F(Sandbox, KeAndUpstreamHaveTheInternetAndNoMore) {
  for (const Role role : {Role::ke, Role::upstream}) {
    SCOPED_TRACE(identity_of(role).name);
    EXPECT_EQ(errno_of_socket(role, AF_INET, SOCK_STREAM), allowed);
    EXPECT_EQ(errno_of_socket(role, AF_INET6, SOCK_STREAM), allowed);
    EXPECT_EQ(errno_of_socket(role, AF_UNIX, SOCK_SEQPACKET), allowed);
    EXPECT_EQ(errno_of_socket(role, AF_PACKET, SOCK_RAW), EACCES);
    EXPECT_EQ(errno_of_socket(role, AF_NETLINK, SOCK_RAW), EACCES);
  }
}

// Its requests leave from ports that the kernel picks (RFC 9109), and nobody connects to it.
TEST_F(Sandbox, UpstreamTakesNoPortOfItsOwn) {
  const auto bind = [] { return ::syscall(SYS_bind, -1, nullptr, 0); };
  const auto listen = [] { return ::syscall(SYS_listen, -1, 1); };
  const auto accept = [] { return ::syscall(SYS_accept4, -1, nullptr, nullptr, 0); };
  for (const std::function<long()>& attempt :
       {std::function<long()>(bind), std::function<long()>(listen), std::function<long()>(accept)}) {
    EXPECT_EQ(errno_of(Role::upstream, attempt), EPERM);
    EXPECT_EQ(errno_of(Role::ke, attempt), EBADF);
  }
}

// The kernel takes 32 bits of the family and the filter sees 64: the high ones must not open a door.
TEST_F(Sandbox, AFamilyWithHighBitsIsRefusedToo) {
  for (const Role role : roles) {
    SCOPED_TRACE(identity_of(role).name);
    const long family = AF_PACKET | 1L << 32;
    EXPECT_EQ(errno_of(role, [=] { return ::syscall(SYS_socket, family, SOCK_RAW, 0); }), EACCES);
  }
}

// Each attempt has arguments with which nothing could happen, and without the filter it would succeed or end
// with another errno (EFAULT, EINVAL, EBADF). So EPERM is the filter's word. What the kernel itself answers
// with EPERM to any unprivileged caller (module loading, kexec) cannot be told apart from here.
TEST_F(Sandbox, NoRoleStartsAProgramLooksIntoAnotherOrTouchesTheMachine) {
  char program[] = "/bin/true";
  char* words[] = {program, nullptr};
  iovec nothing{};
  constexpr long no_clock = 1000;
  constexpr long no_address = 1;
  const std::vector<std::pair<const char*, std::function<long()>>> attempts = {
      {"execve", [&] { return ::execve(program, words, nullptr); }},
      {"execveat", [&] { return ::syscall(SYS_execveat, -1, program, words, nullptr, 0); }},
      {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
      {"process_vm_readv", [&] { return ::process_vm_readv(::getpid(), &nothing, 1, &nothing, 1, 0); }},
      {"process_vm_writev", [&] { return ::process_vm_writev(::getpid(), &nothing, 1, &nothing, 1, 0); }},
      {"keyctl", [] { return ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1); }},
      {"add_key", [] { return ::syscall(SYS_add_key, nullptr, nullptr, nullptr, 0, 0); }},
      {"request_key", [] { return ::syscall(SYS_request_key, nullptr, nullptr, nullptr, 0); }},
      {"process_madvise", [] { return ::syscall(SYS_process_madvise, -1, nullptr, 0, 0, 0); }},
      {"pidfd_getfd", [] { return ::syscall(SYS_pidfd_getfd, -1, -1, 0); }},
      {"kcmp", [] { return ::syscall(SYS_kcmp, ::getpid(), ::getpid(), 0, 0, 0); }},
      {"personality", [] { return ::syscall(SYS_personality, 0xffffffff); }},
      {"io_uring_setup", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
      {"io_uring_enter", [] { return ::syscall(SYS_io_uring_enter, -1, 0, 0, 0, nullptr, 0); }},
      {"io_uring_register", [] { return ::syscall(SYS_io_uring_register, -1, 0, nullptr, 0); }},
      {"perf_event_open", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, -1, 0); }},
      {"unshare", [] { return ::syscall(SYS_unshare, 0); }},
      {"setns", [] { return ::syscall(SYS_setns, -1, 0); }},
      {"mount", [] { return ::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr); }},
      {"umount2", [] { return ::syscall(SYS_umount2, nullptr, -1); }},
      {"chroot", [] { return ::syscall(SYS_chroot, nullptr); }},
      {"mknod", [] { return ::syscall(SYS_mknod, nullptr, 0, 0); }},
      {"mknodat", [] { return ::syscall(SYS_mknodat, -1, nullptr, 0, 0); }},
      {"name_to_handle_at",
       [] { return ::syscall(SYS_name_to_handle_at, -1, nullptr, nullptr, nullptr, 0); }},
      {"clock_settime", [] { return ::syscall(SYS_clock_settime, no_clock, nullptr); }},
      {"settimeofday", [] { return ::syscall(SYS_settimeofday, no_address, nullptr); }},
  };
  for (const Role role : roles) {
    for (const auto& [name, attempt] : attempts) {
      SCOPED_TRACE(std::string(identity_of(role).name) + " " + name);
      EXPECT_EQ(errno_of(role, attempt), EPERM);
    }
  }
}

TEST_F(Sandbox, OnlyTheClockRoleReadsTheKernelsDiscipline) {
  const auto read = [] {
    timex state{};  // modes 0: reads only
    return static_cast<long>(::adjtimex(&state));
  };
  for (const Role role : roles) {
    SCOPED_TRACE(identity_of(role).name);
    EXPECT_EQ(errno_of(role, read), role == Role::clock ? allowed : EPERM);
  }
}

// What every role does all day must go on: threads, timers, files, shared memory.
TEST_F(Sandbox, OrdinaryWorkGoesOn) {
  for (const Role role : roles) {
    SCOPED_TRACE(identity_of(role).name);
    EXPECT_EQ(errno_of(role,
                       []() -> long {
                         pthread_t thread{};
                         const auto nothing = [](void*) -> void* { return nullptr; };
                         errno = ::pthread_create(&thread, nullptr, nothing, nullptr);
                         return errno != 0 ? -1 : 0;
                       }),
              allowed);
    EXPECT_EQ(errno_of(role, [] { return ::open("/etc/passwd", O_RDONLY); }), allowed);
    EXPECT_EQ(errno_of(role, [] { return ::kill(::getpid(), 0); }), allowed);
  }
}

TEST_F(Sandbox, T12_NoRoleDumpsCoreAndTheSecretHoldersCannotBeTraced) {
  for (const Role role : roles) {
    SCOPED_TRACE(identity_of(role).name);
    EXPECT_EQ(errno_of(role,
                       []() -> long {
                         rlimit limit{1, 1};
                         ::getrlimit(RLIMIT_CORE, &limit);
                         return limit.rlim_max == 0 ? 0 : -1;
                       }),
              allowed);
    const int dumpable = role == Role::keeper || role == Role::ke ? 0 : 1;
    EXPECT_EQ(errno_of(role, [=] { return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == dumpable ? 0 : -1; }),
              allowed);
  }
}

long has_no_capability() {
  capng_get_caps_process();
  return capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE ? 0 : -1;
}

long has_only_the_low_port() {
  capng_get_caps_process();
  if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_BIND_SERVICE)) return -1;
  capng_update(CAPNG_DROP, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
               CAP_NET_BIND_SERVICE);
  return capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE ? 0 : -1;
}

TEST_F(Sandbox, ARoleHasNoCapabilityAndGainsNone) {
  for (const Role role : roles) {
    SCOPED_TRACE(identity_of(role).name);
    EXPECT_EQ(errno_of(role, has_no_capability), allowed);
    EXPECT_EQ(errno_of(role, [] { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -1; }), allowed);
  }
}

TEST_F(Sandbox, OnlyKeOnALowPortKeepsTheRightToBindIt) {
  Config config;
  for (const std::uint16_t port : std::array<std::uint16_t, 2>{1023, 1024}) {
    SCOPED_TRACE(port);
    config.nts_ke.port = port;
    EXPECT_EQ(errno_of(Role::ke, port < 1024 ? has_only_the_low_port : has_no_capability, config), allowed);
    EXPECT_EQ(errno_of(Role::keeper, has_no_capability, config), allowed);
  }
}

std::string error_of_identity(uid_t uid, gid_t gid, Role role) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    become(uid, gid);
    try {
      require_identity(role);
    } catch (const SandboxError& error) {
      const std::string text = error.what();
      if (::write(ends[1], text.data(), text.size()) < 0) ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  char text[512];
  const ssize_t bytes = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return {text, static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
}

TEST_F(Sandbox, ARoleRunsAsItsOwnUserOrNotAtAll) {
  for (const Role role : roles) {
    const Identity& identity = identity_of(role);
    SCOPED_TRACE(identity.name);
    EXPECT_EQ(error_of_identity(identity.uid, identity.gid, role), "");
    EXPECT_THAT(error_of_identity(0, 0, role), HasSubstr("start it by `noonmark run`"));
    EXPECT_THAT(error_of_identity(identity.uid, 0, role), HasSubstr("runs as user"));
    EXPECT_THAT(error_of_identity(identity.uid + 1, identity.gid, role), HasSubstr("runs as user"));
  }
}

}  // namespace
}  // namespace control
