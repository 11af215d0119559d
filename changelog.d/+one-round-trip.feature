Workers that hear of a change over Redis only serve it sooner: one round trip announces it, and the first one to hear of it brings all of its host up to date.
