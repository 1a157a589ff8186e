"""HTTPS by the server itself: its authority, its certificate, the page that gives devices the authority."""
