"""Physics-based simulation: anatomy, tissues, sequences, scanner. Its output is SIMULATED."""
