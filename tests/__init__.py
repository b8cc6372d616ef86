"""The tests; each file is named like the module that it tests."""
