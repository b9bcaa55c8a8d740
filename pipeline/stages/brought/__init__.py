"""Tables that a user brings, joined with the pool before measures read them."""
