"""The service: HTTP, settings, clock and stores around a policy engine that knows none of them."""
