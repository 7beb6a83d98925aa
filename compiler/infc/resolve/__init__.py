"""What the spec leaves open becomes known: hardware, prices, the profile of the model, defaults."""
