"""The environment that voices are trained in: torch and its dependencies, apart from the server's packages.

It lies in the data folder and is installed by the running server (`background_install`) or by
``kuaimei setup``; both run `install`. `requirements` lists its packages, each file by its hash.
"""
