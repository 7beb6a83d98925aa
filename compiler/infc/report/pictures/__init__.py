"""Pictures of a decision: what is drawn, what is said of it, and what would provide a picture that is not there."""
