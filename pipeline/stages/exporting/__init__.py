"""What `nearfar export` does: locate the members of a split's samples, write its tars, list them."""
