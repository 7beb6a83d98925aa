"""What needs a GPU; and a stand-in for one, so that the code around it runs anywhere."""
