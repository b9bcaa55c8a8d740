"""Greedy choices over an order of rows: what stands before a row, and an order that keeps rows apart."""
