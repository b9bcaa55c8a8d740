"""Object stores: addresses, objects that are whole or absent, one run at a time, and working copies on this machine."""
