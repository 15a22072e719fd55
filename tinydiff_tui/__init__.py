"""The terminal workbench: a Textual app and headless commands over the diffusion engine in `core`."""
