"""The lab: Noonmark and its clients in network namespaces on one machine.

Shared by configs/quickstart and the tests. Nothing here touches the machine's clock or its own networks, and
all that a lab makes is written down in its state directory before it is made, so that the next start can
clean up after a lab that was killed.
"""
