"""How good a voice is: likeness, intelligibility, naturalness, pitch, and what listeners prefer."""
