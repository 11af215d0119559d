A gateway says at its start which files with passwords or keys others may read or change, and that tokens for a management API on the network are sent in the clear.
