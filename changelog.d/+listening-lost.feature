The log warns when notifications of the database no longer arrive and changes are found by polling, and
says when they arrive again, at most once a minute.
