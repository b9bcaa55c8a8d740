"""A small seeded image-text world in the formats of the real tools, for the quickstart and the tests."""
