"""Signing in with Google and GitHub, as the sandbox plays them over HTTP."""
