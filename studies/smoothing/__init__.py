"""Why smoothing makes codes semantic: it is a low-pass filter of the graph."""
