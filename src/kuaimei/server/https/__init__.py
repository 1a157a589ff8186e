"""HTTPS: certificate authority, server certificate, and the page that gives devices the authority."""
