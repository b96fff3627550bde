"""What builds and checks Commonry; never installed with it."""
