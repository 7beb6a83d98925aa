"""What a bundle is made of, who made it, and that nobody changed it: parts that every kind of bundle shares."""
