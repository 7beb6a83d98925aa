"""What runs on the machine that builds. It imports nothing of infc, so that it can be packed into one file."""
