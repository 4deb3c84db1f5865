"""The lab's simulated receiver in a thread of the test, so that the test may interfere with it."""

import threading

from lab import gnss, receiver


class Playing(threading.Thread):
    """The receiver, a second after the other, until it is stopped. Without `pulse` its pulses go nowhere."""

    def __init__(self, lab, pulse=None):
        super().__init__(daemon=True)
        self.receiver = receiver.Receiver(lab.state, pulse or lab.state / "nobody", gnss.CLOCK_UID)
        self.is_over = False

    def run(self):
        while not self.is_over:
            self.receiver.second()

    def stop(self):
        self.is_over = True
        self.join(5)
        self.receiver.close()
