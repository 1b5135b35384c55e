"""How pilots, scripts and pages ask: the native REST API, at `/`."""
