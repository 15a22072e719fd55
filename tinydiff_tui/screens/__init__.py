"""The modes and the panels over them. Screens translate keys and messages; the maths is in `core`."""
