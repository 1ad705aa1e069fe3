"""What the makefile and maintainers run beside the pipeline."""
