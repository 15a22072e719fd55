"""Where it runs: device, precision and threads, the processes of one run, random numbers by purpose."""
