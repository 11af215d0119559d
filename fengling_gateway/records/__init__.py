"""What is told of an exchange that has ended: its fields, and how lines are made of them. Pure."""
