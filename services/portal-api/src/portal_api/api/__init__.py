"""The HTTP side: one router a resource."""
