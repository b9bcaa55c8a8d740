"""What `nearfar atlas` plans, which is no part of a run."""
