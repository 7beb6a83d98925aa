"""Judge what was built: load tests on a real server, accuracy tests, statistics, verdicts."""
