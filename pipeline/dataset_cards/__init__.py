"""What stands beside the tars of an export, for those who were not there: a listing, a dataset card, Croissant."""
