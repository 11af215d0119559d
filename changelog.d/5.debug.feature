An answer says which route, service and instance it is from and how long each step took, where the request carries an X-Gateway-Debug header signed with a key of the bus, as a console does.
