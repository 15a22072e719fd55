"""What is measured, against whom, by one command each; RESULTS.md is the logbook."""
