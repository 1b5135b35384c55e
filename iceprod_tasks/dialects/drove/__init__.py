"""The dialect of Drove: its operations on tasks, and what its clients read. Source: seed 003, docs/drove.md."""
