What is told over Redis only is served nearly as soon as what is pushed: a change is announced before it is read, in one round trip, and the first of a host to hear of it brings all of it up to date.
