"""What the service is held against beside the floor, each in an environment of its own (`make bench` sets it up)."""
