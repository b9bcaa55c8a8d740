"""What is in a folder of images: which files are images, and which others tell of them."""
