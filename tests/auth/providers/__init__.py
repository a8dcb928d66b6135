"""Sign-in with Google and GitHub, simulated by the sandbox over HTTP."""
