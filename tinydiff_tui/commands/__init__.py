"""The headless commands: one module each with run(options) -> exit code; torch is imported once the flags are good."""
