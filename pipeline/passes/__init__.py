"""What stages share: where parts lie, and passes over their rows and vectors."""
