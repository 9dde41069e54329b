"""The relay benchmark: what a delivered line costs this server, others, and a program that only forwards octets."""
