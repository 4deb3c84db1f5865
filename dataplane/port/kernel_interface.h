// Is the kernel's interface still the one a port was opened on, and does it have a link?
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
  // Up, and with a carrier. True when the kernel does not say.
  [[nodiscard]] bool has_link() const;
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
  unsigned index_;
  MacAddress mac_;
};

// True when the interface's driver takes VLAN tags off before anybody reads the frame (ethtool's rxvlan, on
// by default on most cards). An XDP program then sees a tagged frame as one without a tag, and what is
// answered to it leaves without one. False when the kernel does not say.
[[nodiscard]] bool takes_tags_off(const std::string& name);

}  // namespace dataplane
