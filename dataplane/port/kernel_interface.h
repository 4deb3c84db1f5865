// Is the kernel's interface still the one a port was opened on?
//
// An af_packet port is bound to one interface by its index, and takes frames for one MAC address. When the
// interface is made anew under the same name (a replugged adapter, a rebuilt bridge) the port hears nothing
// for ever; when its MAC address changes (bonding, failover) every request looks like somebody else's.
// Neither can be mended in a running port, and both are by opening it anew: whoever sees a fault here ends
// the process, and the supervisor starts the next one.
#pragma once

#include <string>

#include "dataplane/frame.h"

namespace dataplane {

class KernelInterface {
 public:
  // `name`: of the interface that the port was opened on just now, `mac`: the port's address.
  KernelInterface(const std::string& name, MacAddress mac);

  // Empty while it is the same, up or down, and whatever it is called; else one sentence. A few system
  // calls: once a second is plenty.
  [[nodiscard]] std::string fault() const;
  [[nodiscard]] unsigned index() const noexcept { return index_; }

 private:
  std::string name_;
  unsigned index_;
  MacAddress mac_;
};

}  // namespace dataplane
