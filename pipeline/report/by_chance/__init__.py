"""What drawn pairs say of the levels: how alike pairs are by chance."""
