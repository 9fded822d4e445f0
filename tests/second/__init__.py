"""A client of Phantom, written from PROTOCOL.md alone with cryptography of others."""
