"""Language-model servers: load tests, calibration, accuracy of what they serve."""
