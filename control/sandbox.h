// What a role gives away for good before it meets anybody: capabilities, new privileges, core dumps, and the
// system calls it has no business with.
//
// The table "Processes and pages" of DESIGN.md in the kernel's words. systemd or the launcher has already
// taken away what a parent can; this is the role's own lock, and it holds however the role was started.
// System calls are denied by a list, with an errno and not with death: a library that tries one and goes on
// is no attack. Wrong clock-setting, tracing and programs of one's own are denied to every role.
#pragma once

#include <stdexcept>

#include "control/config.h"
#include "control/roles.h"

namespace control {

// A wrong machine: what() is one sentence that says what to do.
class SandboxError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws SandboxError unless this process runs as the role's uid and gid, and not as root.
void require_identity(Role role);

// Shuts the calling process in. Call it once, before any thread is started. Requires require_identity(), and
// any role but the dataplane, which is another program. Throws SandboxError.
void enter_sandbox(Role role, const Config& config);

}  // namespace control
