A console that probes shows instances the client certificate that their service names, with a key from a file or encrypted under [secrets] key_file; HUP has keys read again.
