"""Where the members of samples lie in tars and folders, and which of them a tar of an export takes."""
