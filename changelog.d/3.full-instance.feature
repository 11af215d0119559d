A request whose instance is full goes to another one that is not, where `retry` allows one more attempt.
