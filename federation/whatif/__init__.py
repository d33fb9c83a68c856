"""What if: scenarios of changes played on a state, and tests of what policies must, may and must not have happen.

`documents` are what a person writes, `reading` checks them; `state` and `changes` say what would be different, `settle`
lets the controller's own judgement follow from it, `report` tells what came of it; `expecting` judges a policy test's
expectations. Pure: nothing here reads a file or a clock, and a state never changes, each change makes another."""
