"""Request handlers, one module a subject; each ends with its table of routes."""
