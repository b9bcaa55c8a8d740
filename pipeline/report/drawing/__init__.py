"""What a report shows: charts, cards of pictures, text from strangers."""
