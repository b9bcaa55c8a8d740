"""What is drawn to say how alike unrelated pairs are, and what the draw comes to."""
