// Makes calls into libc fail on demand: loaded by LD_PRELOAD into the processes under test, told by a small
// file that the test maps as well (tests/support/fault_shim.py).
//
// Why not libfiu: it draws its own allocations into the game, and has no accept4. One rule a call: let `skip`
// calls pass, then fail `fail` of them with `error`. Fields are atomics because both sides touch them at
// once.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}

namespace {

// In the order of fault_shim.py.
enum Call { allocate, accept_call, call_count };

struct Rule {
  std::atomic<std::int64_t> skip;   // calls that pass first
  std::atomic<std::int64_t> fail;   // then so many fail; 0: no rule
  std::atomic<std::int64_t> error;  // errno
  std::atomic<std::int64_t> seen;   // all calls since the file was made
};

struct Rules {
  Rule rules[call_count];
};

std::atomic<Rules*> the_rules{nullptr};

// Before main: single-threaded, and what it allocates itself is not counted.
__attribute__((constructor)) void map_rules() {
  const char* path = std::getenv("NOONMARK_FAULTS");
  if (path == nullptr) return;
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) std::abort();
  void* mapped = ::mmap(nullptr, sizeof(Rules), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) std::abort();
  std::array<void*, 1> one{};
  ::backtrace(one.data(), 1);  // its first call allocates
  the_rules = static_cast<Rules*>(mapped);
}

// What two libraries do by themselves when memory runs out at one place each is theirs to mend, and hides
// nothing of ours: libseccomp 2.5 crashes while it builds the filter at a role's start, and toml++ 3.3 aborts
// when it cannot make its parser.
bool is_excused() {
  constexpr int depth = 4;  // we, fails(), malloc, operator new
  std::array<void*, depth + 2> frames{};
  const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 2; i < count; ++i) {
    Dl_info found{};
    if (::dladdr(frames[static_cast<std::size_t>(i)], &found) == 0) continue;
    if (std::strstr(found.dli_fname, "libseccomp") != nullptr) return true;
    if (found.dli_sname != nullptr && std::strstr(found.dli_sname, "4toml2v32ex5parse") != nullptr)
      return true;
  }
  return false;
}

bool fails(Call call) {
  Rules* rules = the_rules.load(std::memory_order_acquire);
  if (rules == nullptr) return false;
  Rule& rule = rules->rules[call];
  rule.seen.fetch_add(1);
  if (rule.fail.load() <= 0 || rule.skip.fetch_sub(1) > 0) return false;
  if (call == allocate && is_excused()) return false;
  if (rule.fail.fetch_sub(1) <= 0) return false;
  errno = static_cast<int>(rule.error.load());
  return true;
}

}  // namespace

extern "C" {

void* malloc(std::size_t bytes) { return fails(allocate) ? nullptr : __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) {
  return fails(allocate) ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) { return fails(allocate) ? nullptr : __libc_realloc(old, bytes); }
void* memalign(std::size_t alignment, std::size_t bytes) {
  return fails(allocate) ? nullptr : __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  void* made = memalign(alignment, bytes);
  if (made == nullptr) return ENOMEM;
  *out = made;
  return 0;
}

int accept4(int socket, sockaddr* address, socklen_t* bytes, int flags) {
  using Function = int (*)(int, sockaddr*, socklen_t*, int);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "accept4"));
  return fails(accept_call) ? -1 : real(socket, address, bytes, flags);
}
int accept(int socket, sockaddr* address, socklen_t* bytes) {
  using Function = int (*)(int, sockaddr*, socklen_t*);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "accept"));
  return fails(accept_call) ? -1 : real(socket, address, bytes);
}

}  // extern "C"
