"""The searches for hyperparameters, each on DVC's own experiment queue."""
