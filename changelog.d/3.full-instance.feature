A request whose instance is full goes to another one, where `retry` allows one more attempt.
