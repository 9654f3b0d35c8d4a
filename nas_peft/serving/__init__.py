"""A server that answers requests for many subnets on one backbone."""
