"""Checks that take too long for the tests: fuzzing, interruptions, mutants, two runs compared."""
