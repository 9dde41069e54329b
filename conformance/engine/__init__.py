"""How a case is played: the program under test, its connections, the player of scripts, and one verdict."""
