"""Studies: one patient's contrasts on one grid; sites of patients; slices for training."""
