"""The environment in which voices are learned: torch and what it needs, apart from the server's packages.

It lies in the data folder and is made by itself while the server runs (`keeper`), or by ``kuaimei setup``;
both run `making`. `listing` says what it consists of, each file by its hash.
"""
