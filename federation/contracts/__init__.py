"""What others must offer to the federation; each contract has a conformance suite in `federation.testing`."""
