"""What people type: `iceprod-tasks`, one module a command group."""
