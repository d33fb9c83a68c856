"""Pure decisions of the control loop: (desired, observed, now) -> what to do next. No I/O, no clock."""
