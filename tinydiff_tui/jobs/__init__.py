"""What the screens are told: work in threads, and its progress as plain values. No widget."""
